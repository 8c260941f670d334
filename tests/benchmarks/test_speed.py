"""The parts of the speed benchmark that decide what is compared with what."""

import itertools
import math
import sys
from pathlib import Path

import ase.build
import numpy as np
import pytest

from benchmarks.peers.client import Worker, WorkerError
from benchmarks.peers.silicon import LATTICE_CONSTANT, RATTLE, repeats_for, silicon
from benchmarks.peers.timing import interleave


def test_the_structure_is_diamond_silicon_up_to_the_rattling():
    positions, cell = silicon((2, 3, 4))
    ideal = ase.build.bulk("Si", "diamond", a=LATTICE_CONSTANT, cubic=True) * (2, 3, 4)
    np.testing.assert_allclose(cell, ideal.cell.array)
    nearest = np.linalg.norm(positions[:, None] - ideal.positions[None], axis=2).min(axis=1)
    assert len(positions) == len(ideal)
    assert nearest.max() < 6 * RATTLE
    assert np.sqrt((nearest**2).mean()) == pytest.approx(math.sqrt(3) * RATTLE, rel=0.1)


@pytest.mark.parametrize("half_decades", range(2, 11))
def test_no_other_nearly_cubic_supercell_is_closer_in_size(half_decades):
    wanted = 10 ** (half_decades / 2)
    shapes = (s for s in itertools.combinations_with_replacement(range(1, 26), 3) if s[2] - s[0] <= 1)
    best = min(abs(math.log(8 * math.prod(s) / wanted)) for s in shapes)
    assert abs(math.log(8 * math.prod(repeats_for(wanted)) / wanted)) == pytest.approx(best)


def test_sides_take_turns_and_a_slow_one_has_one_call_in_a_turn():
    turns = []

    def side(name, seconds):
        def call(n):
            turns.append((name, n))
            return seconds

        return call

    times, failed = interleave({"quick": side("quick", 0.1), "slow": side("slow", 5.0)}, 3, 1.0)
    assert not failed
    assert turns[4:] == [("quick", 10), ("slow", 1), ("slow", 1), ("quick", 10), ("quick", 10), ("slow", 1)]
    assert (times["quick"].median, times["slow"].rounds) == (0.1, 3)


def test_median_and_minimum_are_over_the_rounds_without_the_warm_up():
    seconds = iter([100.0, 50.0, 3.0, 1.0, 2.0])
    times, _ = interleave({"side": lambda n: next(seconds)}, 3, 0.0)
    assert times["side"] == (1.0, 2.0, 3)


def test_a_slow_side_leaves_out_rounds_beyond_its_time_but_not_the_first():
    times, _ = interleave({"side": lambda n: 50.0}, 5, 1.0, most_seconds=110.0)
    assert times["side"].rounds == 2
    times, _ = interleave({"side": lambda n: 50.0}, 5, 1.0, most_seconds=10.0)
    assert times["side"].rounds == 1


def test_a_side_that_fails_leaves_the_others_running():
    def broken(n):
        raise WorkerError("no compiler")

    times, failed = interleave({"a": lambda n: 1.0, "b": broken}, 2, 1.0, failures=(WorkerError,))
    assert list(times) == ["a"]
    assert str(failed["b"]) == "no compiler"


def test_equipots_worker_times_the_exported_model_and_says_what_fails(tmp_path):
    with Worker(Path(sys.executable), "equipot_worker", 1, tmp_path / "log") as worker:
        request = {"do": "prepare", "name": "job", "task": "inference", "preset": "S", "cutoff": 5.0}
        sizes = worker.ask({**request, "repeats": [1, 1, 1]})
        assert (sizes["atoms"], sizes["edges"]) == (8, 8 * 28)
        assert 0 < worker.ask({"do": "time", "name": "job", "calls": 2})["seconds"] < 10
        with pytest.raises(WorkerError, match="KeyError: 'XXL'"):
            worker.ask({**request, "preset": "XXL", "repeats": [1, 1, 1]})


def test_a_worker_that_ends_is_one_sentence(tmp_path):
    with pytest.raises(WorkerError, match="ended with code 1; see"):
        Worker(Path(sys.executable), "no_such_worker", 1, tmp_path / "log")
