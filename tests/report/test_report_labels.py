"""What labelled frames say about a crystal and about pairs, found among everything else."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from equipot.properties.physics import equation_of_state
from equipot.report.labelled_volumes import find_crystal, labelled_volumes
from equipot.report.pairs import labelled_dimers
from equipot.structures.frame import Frame
from equipot.structures.labels import frame_from_atoms


def labelled(atoms: Atoms) -> Frame:
    copy = atoms.copy()
    copy.calc = EMT()
    results = {"energy": copy.get_potential_energy(), "forces": copy.get_forces()}
    copy.calc = SinglePointCalculator(copy, **results)
    return frame_from_atoms(copy)


def copper(a=3.6):
    return bulk("Cu", cubic=True, a=a)


def others() -> list[Frame]:
    displaced, sheared, longer = copper(), copper(), copper()
    displaced.positions[1, 0] += 0.1
    sheared.set_cell(sheared.cell.array @ np.array([[1, 0.02, 0], [0, 1, 0], [0, 0, 1]]), scale_atoms=True)
    longer.set_cell(longer.cell.array * [[1], [1], [1.02]], scale_atoms=True)
    alloy = copper()
    alloy.symbols[0] = "Ni"
    return [labelled(a) for a in (displaced, sheared, longer, alloy, copper() * (2, 1, 1))]


def test_volumes_of_the_crystal_are_found_and_give_its_minimum():
    sizes = [3.7, 3.5, 3.55, 3.6, 3.65, 3.58, 3.62]
    frames = others() + [labelled(copper(a)) for a in sizes]
    moved = copper(3.57)
    moved.positions += [0.3, -0.2, 9.0]  # another origin is the same crystal
    frames.append(labelled(moved))
    found = labelled_volumes(frames, copper(3.61))
    np.testing.assert_allclose((4 * found.volumes) ** (1 / 3), sorted([*sizes, 3.57]))
    volume, modulus = found.fit()
    expected = equation_of_state(copper(), EMT(), np.linspace(-0.02, 0.02, 9))
    assert 4 * volume == pytest.approx(expected["volume"], rel=1e-3)
    assert modulus == pytest.approx(expected["bulk_modulus"], rel=0.03)


def test_volumes_beside_the_minimum_give_no_fit():
    found = labelled_volumes([labelled(copper(a)) for a in (3.7, 3.72, 3.74, 3.76, 3.78)], copper())
    assert found.fit() is None
    assert labelled_volumes([labelled(copper(3.6))], copper()) is None
    assert labelled_volumes(others(), copper()) is None


def test_the_frame_at_rest_with_the_lowest_energy_is_the_crystal():
    rest = [
        labelled(copper(3.9)),
        labelled(copper(3.6)),
        labelled(copper(3.5)),
        labelled(copper() * (2, 1, 1)),
    ]
    frames = [*others()[:1], labelled(Atoms("Cu")), *rest]
    found, why = find_crystal(frames, [29])
    assert found is rest[1]  # the larger cell holds other atoms than the first at rest
    assert why == ""
    assert "periodic in all directions" in find_crystal(frames[:2], [28])[1]
    assert "no frame of the data has forces below" in find_crystal(frames[:1], [29])[1]
    assert "--structure" in find_crystal([], [29])[1]


def test_labelled_pairs_are_relative_to_labelled_single_atoms():
    pair = Atoms("CuNi", positions=[[0, 0, 0], [0, 0, 2.3]])
    frames = [labelled(a) for a in (pair, Atoms("Cu"), Atoms("Ni"))]
    found = labelled_dimers(frames)
    expected = frames[0].energy - frames[1].energy - frames[2].energy
    assert found["Cu", "Ni"] == found["Ni", "Cu"] == [(pytest.approx(2.3), pytest.approx(expected))]
    assert labelled_dimers(frames[:2]) == {}
    crowded = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.3]], cell=[4, 4, 4], pbc=True)
    assert labelled_dimers([labelled(crowded), frames[1]]) == {}
