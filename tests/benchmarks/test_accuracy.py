"""The parts of the accuracy benchmarks that decide what is trained on, what is compared, and what it cost."""

import itertools
import json
import os
import subprocess
import sys

import ase.io
import numpy as np
import pytest
import torch

from benchmarks.accuracy.published import PUBLISHED
from benchmarks.accuracy.report import markdown
from benchmarks.accuracy.result import average, errors
from benchmarks.accuracy.sets import SETS, Set, config, split, write
from benchmarks.accuracy.training import processor_seconds, train
from benchmarks.command import BenchmarkError
from benchmarks.learning_curve import curves
from equipot.errors import ConfigError
from tests.training.conftest import labelled_frames


@pytest.fixture
def folder(tmp_path):
    frames = labelled_frames(30)
    for k, frame in enumerate(frames):
        frame.info["id"] = k
    ase.io.write(tmp_path / "all.extxyz", frames)
    return tmp_path


def ids(frames):
    return [f.info["id"] for f in frames]


def test_every_set_has_published_errors_to_stand_beside():
    assert set(SETS) == set(PUBLISHED)
    assert all("all" in p.errors for p in PUBLISHED.values())


def test_the_parts_of_a_split_share_no_frame(folder):
    found = split(Set("", "all.extxyz", n_train=20, n_test=6), folder, seed=3, n_validation=4)
    parts = [ids(found.train), ids(found.validation), ids(found.test)]
    assert [len(p) for p in parts] == [16, 4, 6]
    assert len(set().union(*parts)) == 26


def test_fewer_frames_are_part_of_more_and_the_rest_of_the_split_stays(folder):
    which = Set("", "all.extxyz", n_test=6)
    sizes = [split(which, folder, 1, 4, n) for n in (2, 5, 11)]
    for small, large in itertools.pairwise(sizes):
        assert set(ids(small.train)) < set(ids(large.train))
        assert ids(small.validation) == ids(large.validation)
        assert ids(small.test) == ids(large.test)
    with pytest.raises(ConfigError, match="21 frames to fit were asked for; expected at most 20"):
        split(which, folder, 1, 4, 21)


@pytest.mark.parametrize("n", [-1, 24])
def test_a_validation_set_that_leaves_nothing_to_fit_is_one_sentence(folder, n):
    with pytest.raises(ConfigError, match=f"{n} frames for validation were asked for; expected 0 to 23"):
        split(Set("", "all.extxyz", n_test=6), folder, 1, n)


def test_another_seed_is_another_split(folder):
    which = Set("", "all.extxyz", n_test=6)
    assert set(ids(split(which, folder, 1).test)) != set(ids(split(which, folder, 2).test))


def test_errors_are_those_of_their_definitions():
    x = np.array([0.001, -0.003, 0.002])
    assert average(x, "mae") == pytest.approx(2.0)
    assert average(x, "rmse") == pytest.approx(np.sqrt(14 / 3))
    assert average(np.zeros(0), "mae") is None


def test_a_slope_is_the_exponent_of_a_power_law():
    frames = np.array([10, 30, 90, 500])
    assert curves.slope(frames, 70 * frames**-0.4) == pytest.approx(-0.4)


def test_networks_of_a_learning_curve_have_equal_numbers_of_weights():
    counts = [curves.count_weights(l, curves.features(l, 20_000, ["H", "O"]), ["H", "O"]) for l in range(4)]
    assert max(counts) < 1.1 * min(counts)


def test_the_cost_of_a_process_is_what_it_used():
    code = "import time\nwhile time.process_time() < 0.5: pass\nprint('done', flush=True)\ntime.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        if not os.path.exists("/proc"):
            pytest.skip("no /proc to read processor times from")
        assert 0.4 < processor_seconds(process.pid) < 2
    finally:
        process.kill()
        process.wait()


def test_a_training_gives_errors_in_published_units_and_resuming_adds_to_its_cost(folder):
    data = write(split(Set("", "all.extxyz", n_test=6), folder, 1), folder / "run/data")
    values = config(data, folder / "run", max_epochs=2, seed=1, threads=1)
    smaller = ["model.preset=tiny", "model.cutoff=3.5", "training.final=false"]
    first = train(values, smaller, resume=False)
    more = train(values, [*smaller, "training.max_epochs=4"], resume=True)
    assert more["minutes"] > first["minutes"] > 0
    assert json.loads((folder / "run/cost.json").read_text())["minutes"] <= more["minutes"]
    per_atom = errors(folder / "run/model.pt", data["test"], "rmse", "atom")
    whole = errors(folder / "run/model.pt", data["test"], "rmse", "structure")
    assert set(per_atom) == {"all", "alloy", "copper"}
    evaluation = json.loads((folder / "run/evaluation.json").read_text())
    assert per_atom["all"][1] == pytest.approx(1000 * evaluation["forces"]["rmse"], rel=1e-6)
    assert per_atom["all"][0] == pytest.approx(1000 * evaluation["energy_per_atom"]["rmse"], rel=1e-6)
    n_atoms = len(ase.io.read(data["test"]))
    assert whole["all"][0] == pytest.approx(n_atoms * per_atom["all"][0], rel=1e-6)


def test_the_table_has_the_published_beside_ours():
    found = {
        "set": "3bpa", "title": "3BPA", "metric": "rmse", "energy": "structure", "errors": {"all": (5.0, 16.0, None)},
        "minutes": 3.0, "cpu_minutes": 2.9, "threads": 1, "seed": 1, "weights": 10, "steps": 9, "seconds_to_best": 60.0,
        "frames": {"train": 1, "validation": 1}, "equipot": "0", "machine": "m", "date": "d", "remark": "Mind.",
    }  # fmt: skip
    text = markdown(found)
    assert "| all | equipot | 5 | 16.0 | – |" in text
    assert "| all | NequIP | 3.3 | 10.8 |  |" in text
    assert "2.9 processor minutes on 1 thread (m)" in text
    assert text.endswith("Mind.\n")
    on_gpu = markdown({**found, "device": "cuda:0, NVIDIA H100 with 79 GiB"})
    assert "(m and cuda:0, NVIDIA H100 with 79 GiB)" in on_gpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_an_accelerator_given_as_key_and_value_reaches_the_training(folder, capfd):
    data = write(split(Set("", "all.extxyz", n_test=6), folder, 1), folder / "run/data")
    values = config(data, folder / "run", max_epochs=1, seed=1, threads=1)
    with pytest.raises(BenchmarkError, match="ended with code 1"):
        train(values, ["training.accelerator=gpu"], resume=False)
    assert "training.accelerator is gpu, but torch sees no GPU" in capfd.readouterr().err
