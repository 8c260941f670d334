"""The parts of the speed benchmark that decide what is compared with what."""

import argparse
import io
import itertools
import math
import sys
from pathlib import Path

import ase.build
import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks.peers.worker import Worker, WorkerError
from benchmarks.silicon import LATTICE_CONSTANT, RATTLE, repeats_for, silicon
from benchmarks.speed import report, tasks
from benchmarks.timing import Times, interleave
from equipot.neighbours.search import search_for
from tests.benchmarks.running import run_benchmark


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
        raise WorkerError("nequip", "no compiler")

    times, failed = interleave({"a": lambda n: 1.0, "b": broken}, 2, 1.0, failures=(WorkerError,))
    assert list(times) == ["a"]
    assert str(failed["b"]) == "nequip: no compiler"


def test_equipots_worker_times_the_exported_model_and_names_an_unknown_preset(tmp_path):
    with equipot_worker(tmp_path) as worker:
        request = {"task": "inference", "job": "job", "repeats": [1, 1, 1]}
        sizes = worker.ask(**request, preset="S")
        assert (sizes["atoms"], sizes["edges"]) == (8, 8 * 28)
        assert 0 < worker.time(2) < 10
        with pytest.raises(WorkerError, match="KeyError: 'XXL'"):
            worker.ask(**request, preset="XXL")


def equipot_worker(tmp_path):
    return Worker(Path(sys.executable), "benchmarks.speed.equipot_worker", 1, tmp_path / "log")


def options(tmp_path, **changed):
    given = {
        "nequip_python": Path("nowhere"),
        "threads": 1,
        "rounds": 1,
        "round_seconds": 0.01,
        "work": tmp_path,
    }
    given |= {"modes": tasks.GPU_INFERENCE_MODES, "variants": ["preset"], "compile_minutes": 1.0}
    given |= {"peer_atoms": math.inf, "largest": 1e4, "scaling_preset": "S", "sizes": [], "device": "cuda"}
    given = {**given, "show": lambda text: None, **changed}
    return argparse.Namespace(**given, on_gpu=given["device"] != "cpu")


def test_sizes_of_scaling_are_the_options_or_defaults_of_the_device(tmp_path):
    assert tasks.sizes(options(tmp_path, sizes=[1_000_000])) == [1e6]
    assert tasks.sizes(options(tmp_path)) == [216, 5000, 50_000]
    assert tasks.sizes(options(tmp_path, device="cpu")) == pytest.approx(
        [100, 316.2, 1000, 3162, 10_000], rel=1e-3
    )


def test_a_peer_without_memory_is_a_line_of_the_table_beside_equipots_numbers(tmp_path, monkeypatch):
    def size(given, package, request):
        if package == "nequip" and request["mode"] != "eager":
            raise WorkerError("nequip", "OutOfMemoryError: CUDA out of memory.")
        who = "equipot" if package == "equipot" else "peer"
        times = Times(1.0, 2.0 if who == "equipot" else 6.0, 3)
        us = {f"{who}_us_per_atom": times.median, f"{who}_us_per_atom_min": times.minimum}
        return {**us, f"{who}_bytes_per_atom": 2**20 if who == "equipot" else 2**22}, times

    monkeypatch.setattr(tasks, "_measure_size", size)
    rows = tasks.scaling(options(tmp_path, sizes=[216]))
    assert [row["mode"] for row in rows] == list(tasks.GPU_INFERENCE_MODES)
    assert [row["error"] for row in rows] == [None, *["OutOfMemoryError: CUDA out of memory."] * 2]
    assert (rows[0]["ratio"], rows[1]["ratio"]) == (3.0, None)
    text = printed(report.table("scaling", rows))
    assert "atoms per GiB" in text
    assert " 1,024 " in text  # of 1 MiB each
    assert " 256 " in text
    assert text.count("CUDA out of memory") == 2


def test_a_size_that_equipot_cannot_do_is_a_line_too_and_the_peer_is_asked_all_the_same(
    tmp_path, monkeypatch
):
    def size(given, package, request):
        if package == "equipot":
            raise WorkerError("equipot", "OutOfMemoryError: too large")
        return {"peer_us_per_atom": 1.0, "peer_us_per_atom_min": 1.0}, Times(1.0, 1.0, 1)

    monkeypatch.setattr(tasks, "_measure_size", size)
    rows = tasks.scaling(options(tmp_path, modes=["eager"]))
    assert [(row["error"], row["peer_us_per_atom"]) for row in rows] == [
        ("equipot: OutOfMemoryError: too large", 1.0)
    ] * 3
    printed(report.table("scaling", rows))
    # On the processor more atoms would only make the machine swap.
    assert len(tasks.scaling(options(tmp_path, device="cpu"))) == 1


def test_a_training_step_on_a_gpu_has_its_peak_memory_in_the_table():
    row = {"device": "cuda", "preset": "S", "variant": "preset", "mode": "eager", "error": None, "n_atoms": 9}
    row |= {"equipot_us_per_atom": 1.0, "equipot_us_per_atom_min": 1.0, "equipot_parameters": 1}
    row |= {"ratio": None, "ratio_min": None, "equipot_bytes_per_atom": 12_300.0, "peer_bytes_per_atom": None}
    text = printed(report.table("training", [row]))
    assert "kB per atom" in text
    assert "12.3" in text
    assert "kB per atom" not in printed(report.table("training", [{**row, "device": "cpu"}]))


def test_without_nequip_the_rows_say_so_in_its_place(tmp_path):
    given = options(tmp_path, nequip_python=None, device="cpu", modes=["eager"])
    rows = tasks.inference(given, "S")
    assert rows[0]["equipot_us_per_atom"] > 0
    assert (rows[0]["peer_us_per_atom"], rows[0]["error"]) == (
        None,
        "not measured: --nequip-python is not given",
    )


def printed(table):
    with io.StringIO() as file:
        Console(file=file, width=220).print(table)
        return file.getvalue()


def test_without_a_gpu_one_sentence_says_so(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = run_benchmark("speed", "--device", "cuda")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "speed: --device is cuda, but torch sees 0 GPUs\n"


def test_equipots_worker_searches_and_trains_and_measures_the_memory_of_a_call(tmp_path):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with equipot_worker(tmp_path) as worker:
        request = {"job": "job", "preset": "S", "repeats": [2, 2, 2]}
        request |= {"device": device, "frames": 2, "energy_weight": 1.0}
        for task, atoms in (("scaling", 64), ("search", 64), ("training", 128)):
            sizes = worker.ask(task, **request)
            assert sizes["atoms"] == atoms
            assert sizes["search"] == ("" if task == "training" else search_for(torch.device(device)).name)
            assert 0 < worker.time(1) < 60
            assert worker.memory() >= 0
