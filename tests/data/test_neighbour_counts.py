"""The check of the cutoff: the number of neighbours is known before they are searched."""

import time
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule

from equipot.data.checks import check_frames
from equipot.data.checks.neighbours import _expected_neighbours
from equipot.neighbours import neighbour_list
from equipot.structures import frame_from_atoms


def structures():
    boxed = molecule("C60", cell=[30.0] * 3, pbc=True)
    unwrapped = bulk("Al", cubic=True).repeat(2)
    unwrapped.positions[::3] += 5 * unwrapped.cell[0]
    layer = fcc111("Cu", (1, 1, 2), vacuum=20.0)
    return {
        "molecule": molecule("C60"),
        "molecule in a box": boxed,
        "layer": layer,
        "layer in a box": layer.copy() + layer[:0],
        "unwrapped": unwrapped,
    }


@pytest.mark.parametrize("name", structures())
@pytest.mark.parametrize("cutoff", [3.0, 8.0, 18.0])
def test_the_expected_number_of_neighbours_is_that_of_a_search(name, cutoff):
    frame = frame_from_atoms(structures()[name])
    if name == "layer in a box":
        frame = replace(frame, pbc=np.array([True, True, True]))
    edges, _, _ = neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff)
    assert _expected_neighbours(frame, cutoff) == pytest.approx(edges.shape[1] / len(frame), rel=0.05)


def test_a_huge_cutoff_is_refused_before_the_search(trajectory):
    start = time.monotonic()
    (finding,) = check_frames(trajectory, cutoff=50.0).of("neighbours")
    assert time.monotonic() - start < 10
    assert finding.level == "error"
    assert "a cutoff of 50 Å means about 44000 neighbours per atom" in finding.message
    assert check_frames(trajectory, cutoff=10.0).errors() == []


def test_a_cutoff_below_the_shortest_distance_is_named_so(trajectory):
    (finding,) = check_frames(trajectory, cutoff=1.5).of("neighbours")
    shortest = check_frames(trajectory).of("coincident-atoms")[0].message.split()[-2]
    assert (
        f"the cutoff of 1.5 Å is shorter than the shortest distance, {float(shortest):.3g} Å"
        in finding.message
    )
    assert finding.certain
