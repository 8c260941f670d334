"""A whole training: what it leaves, that it continues bit for bit after a kill, and that ranks agree."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.io import read

from equipot import native
from equipot.calculators import EquipotCalculator
from equipot.config_file import load_config
from equipot.errors import ConfigError, DataError, ModelFileError, NumericsError
from equipot.model_file import load_model, load_potential, read_metadata
from equipot.network.variants import without_uncertainty
from equipot.training.checkpoints import potential_of, read_checkpoint
from equipot.training.loss import Loss
from equipot.training.run import train


def equipot(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "equipot.cli.main", *arguments]


def weights(folder) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def rows(folder) -> list[dict[str, str]]:
    with open(folder / "metrics.csv") as file:
        return list(csv.DictReader(file))


def test_a_training_leaves_model_evaluation_log_and_plots(config_file, tmp_path, fresh_process, figures):
    model = train(load_config(config_file))
    run = tmp_path / "run"
    for name in (
        "model.pt",
        "evaluation.json",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "metrics.csv",
    ):
        assert (run / name).stat().st_size > 0
    for name in ("learning.png", "parity.png"):
        assert (run / name).read_bytes().startswith(b"\x89PNG")
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert set(evaluation["groups"]) == {"copper", "alloy"}
    # The numbers in the file are those of the exported model in the hands of a user.
    errors = []
    for atoms in read(tmp_path / "test.extxyz", ":"):
        reference = atoms.get_forces()
        atoms.calc = EquipotCalculator(model)
        errors.append(atoms.get_forces() - reference)
    rmse = np.sqrt(np.mean(np.square(errors)))
    assert evaluation["forces"]["rmse"] == pytest.approx(rmse, rel=1e-4)
    assert [int(r["epoch"]) for r in rows(run)] == [0, 1, 2, 3]
    assert float(rows(run)[-1]["train_loss"]) < float(rows(run)[0]["train_loss"])


def test_the_exported_network_is_the_average_of_the_best_checkpoint(config_file, tmp_path):
    model = train(load_config(config_file))
    best = potential_of(read_checkpoint(tmp_path / "run/checkpoints/best.ckpt")).state_dict()
    graded = load_potential(model)
    assert torch.isfinite(graded.grade.penalty).all()
    assert graded.spec.members == 16
    summary = load_model(model).metadata.training
    assert summary["predicted_errors"]["force_factor"] > 0
    assert summary["uncertainty_seconds"] >= 0
    exported = without_uncertainty(graded).state_dict()
    assert best.keys() == exported.keys()
    assert all(torch.equal(best[k], exported[k]) for k in best)
    assert load_model(model).metadata.config["training"]["seed"] == 1


def test_the_epoch_with_the_lowest_weighted_validation_error_is_exported(config_file, tmp_path):
    # At a constant, high rate the errors go up and down, so that the best epoch is rarely the last.
    weight = {"energy": 2.0, "forces": 0.5, "stress": 30.0}
    loss = [f"training.loss.{name}={value}" for name, value in weight.items()]
    rough = ["training.schedule=constant", "training.learning_rate=0.1", "training.ema_decay=0"]
    length = ["training.max_epochs=16", "training.weight_decay=0.1"]
    model = train(load_config(config_file, [*loss, *rough, *length]))
    frames = read(config_file.parent / "train.extxyz", ":")
    volume = np.mean(
        [atoms.get_volume() / len(atoms) for atoms in frames]
    )  # validation frames are like the others
    errors = ("energy_per_atom", 1.0), ("forces", 1.0), ("stress", volume)
    terms = np.array(
        [
            [float(row[f"validation_{name}_rmse"]) * unit for name, unit in errors]
            for row in rows(tmp_path / "run")
        ]
    )
    scores = np.square(terms) @ list(weight.values())
    written = [float(row["score"]) for row in rows(tmp_path / "run")]
    np.testing.assert_allclose(written, scores, rtol=0.02)
    best = int(np.argmin(scores))
    assert 0 < best < 15, scores
    assert load_model(model).metadata.training["epoch"] == best


def test_a_killed_training_resumes_to_the_same_bits(config_file, tmp_path):
    long = "training.max_epochs=12"
    subprocess.run(equipot("train", str(config_file), long, f"output={tmp_path}/whole"), check=True)
    cut = equipot("train", str(config_file), long, f"output={tmp_path}/cut")
    process = subprocess.Popen(cut, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "cut/metrics.csv").exists() or len(rows(tmp_path / "cut")) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None, "the training ended before it could be killed"
        time.sleep(0.005)
    time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(rows(tmp_path / "cut")) < 12
    subprocess.run([*cut, "--resume"], check=True)
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)
    for a, b in zip(rows(tmp_path / "whole"), rows(tmp_path / "cut")):
        assert {k: v for k, v in a.items() if k != "seconds"} == {
            k: v for k, v in b.items() if k != "seconds"
        }


def test_ctrl_c_ends_with_130_and_leaves_what_resume_needs(config_file, tmp_path):
    command = equipot("train", str(config_file), "training.max_epochs=100000")
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background inherit an ignored SIGINT; a person's terminal does not ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "run/metrics.csv").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "--resume" in message
    assert read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["epoch"] >= 0


def test_two_ranks_hold_the_same_weights_as_one_with_batches_twice_as_large(config_file, tmp_path):
    """Each of two ranks takes every other batch and gradients are averaged: two batches of 2 weigh as one of 4."""
    common = ["model.dtype=float64", "training.gradient_clip=0", "training.max_epochs=2"]
    # 24 frames, 20 of them for training, of equal size: the mean over 4 frames is the mean of two means over 2.
    common += ["data.validation_fraction=0.16", "training.loss.stress=0"]
    one = equipot("train", str(config_file), *common, "training.batch_size=4", f"output={tmp_path}/one")
    two = equipot(
        "train", str(config_file), *common, "training.batch_size=2", "training.devices=2",
        "training.accelerator=cpu", f"output={tmp_path}/two",
    )  # fmt: skip
    for command in (one, two):
        run = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr
    a, b = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-7, atol=1e-9)
    assert rows(tmp_path / "one")[-1]["step"] == rows(tmp_path / "two")[-1]["step"]
    assert float(rows(tmp_path / "one")[-1]["validation_forces_rmse"]) == pytest.approx(
        float(rows(tmp_path / "two")[-1]["validation_forces_rmse"]), rel=1e-7
    )


@pytest.mark.parametrize(
    ("asked", "given"), [("gpu", "cuda"), ("cuda", "cuda"), ("cpu", "cpu"), ("auto", "auto")]
)
def test_the_accelerator_of_the_config_is_lightnings(config_file, tmp_path, monkeypatch, asked, given):
    class Stop(Exception):
        pass

    def trainer(**options):
        raise Stop(options["accelerator"])

    monkeypatch.setattr("equipot.training.run.pl.Trainer", trainer)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(Stop, match=f"^{given}$"):
        train(load_config(config_file, [f"training.accelerator={asked}"]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_a_gpu_that_is_asked_for_and_missing_is_a_sentence_before_anything_is_read(config_file, accelerator):
    config = load_config(config_file, [f"training.accelerator={accelerator}"])
    with pytest.raises(
        ConfigError, match=f"accelerator is {accelerator}, but torch sees no GPU; expected cpu"
    ):
        train(config)
    assert not Path(config.output).exists()


def test_a_model_says_where_it_was_trained(config_file):
    path = train(load_config(config_file, ["training.max_epochs=1", "training.accelerator=cpu"]))
    assert read_metadata(path).training["device"] == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_a_training_on_a_gpu_ends_with_a_model_that_names_it(config_file):
    path = train(load_config(config_file, ["training.accelerator=gpu"]))
    assert torch.cuda.get_device_name() in read_metadata(path).training["device"]


def test_a_time_limit_ends_a_training_and_brings_the_learning_rate_down(config_file, tmp_path):
    config = load_config(config_file, ["training.max_epochs=null", "training.max_time=3"])
    train(config)
    last = rows(tmp_path / "run")[-1]
    assert 3 <= float(last["seconds"]) < 8
    assert float(last["learning_rate"]) < 0.1 * config.training.peak_rate


def test_streaming_from_disk_trains_the_same_network(config_file, tmp_path):
    train(load_config(config_file, [f"output={tmp_path}/memory"]))
    train(load_config(config_file, [f"output={tmp_path}/disk", "data.stream=true"]))
    a, b = weights(tmp_path / "memory"), weights(tmp_path / "disk")
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize(
    "overrides",
    [
        ["training.loss.kind=huber", "training.schedule=plateau", "training.plateau_patience=0"],
        ["training.loss.kind=stratified_huber", "training.schedule=constant", "training.ema_decay=0"],
        ["training.loss.initial.stress=0", "training.schedule=cosine", "training.ema_decay=0"],
        ["training.max_edges=900", "model.dtype=float64", "training.early_stop_patience=1"],
    ],
)
def test_every_recipe_runs_to_its_end(config_file, overrides):
    assert train(load_config(config_file, [*overrides, "training.max_epochs=3"])).exists()


def test_initial_weights_without_a_cosine_to_move_along_are_refused(config_file):
    with pytest.raises(
        ConfigError, match=r"loss\.initial needs training\.schedule restarts or cosine.* plateau"
    ):
        load_config(config_file, ["training.schedule=plateau", "training.loss.initial.stress=0"])


def test_the_weights_of_a_training_begin_at_the_initial_ones_and_end_at_the_others(
    config_file, tmp_path, monkeypatch
):
    seen = []
    measured = Loss.__call__

    def watched(self, residuals, decay=1.0):
        seen.append(self.weights(decay)["energy"])
        return measured(self, residuals, decay)

    monkeypatch.setattr(Loss, "__call__", watched)
    train(load_config(config_file, ["training.loss.energy=20", "training.schedule=cosine"]))
    assert seen[0] == 2.0
    assert seen == sorted(seen)
    assert seen[-1] > 19


def test_a_folder_in_use_is_not_overwritten_unasked(config_file):
    config = load_config(config_file, ["training.max_epochs=1"])
    train(config)
    with pytest.raises(ConfigError, match="--resume"):
        train(config)
    train(config, overwrite=True)


def test_a_resumed_training_keeps_its_recipe(config_file):
    train(load_config(config_file, ["training.max_epochs=1"]))
    with pytest.raises(ConfigError, match=r"training\.batch_size"):
        train(load_config(config_file, ["training.batch_size=3"]), resume=True)
    train(load_config(config_file, ["training.max_epochs=2"]), resume=True)


def test_changed_data_are_noticed_when_resuming(config_file, tmp_path):
    train(load_config(config_file, ["training.max_epochs=1"]))
    file = tmp_path / "train.extxyz"
    frames = read(file, ":")
    from ase.io import write

    write(file, frames[:-4])
    with pytest.raises(ConfigError, match="other data"):
        train(load_config(config_file, ["training.max_epochs=2"]), resume=True)


def test_a_loss_that_is_not_finite_stops_with_a_reason(config_file):
    config = load_config(
        config_file, ["training.learning_rate=1e30", "training.gradient_clip=0", "training.warmup_steps=0"]
    )
    with pytest.raises(NumericsError, match="learning_rate"):
        train(config)


def test_errors_of_the_checks_refuse_the_training(config_file, tmp_path):
    text = (tmp_path / "train.extxyz").read_text()
    (tmp_path / "train.extxyz").write_text(text.replace("energy=", "energy=nan junk=", 1))
    with pytest.raises(DataError, match="finite"):
        train(load_config(config_file))


def test_a_checkpoint_that_wants_to_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path}/owned",))

    torch.save({"equipot": {"version": 1}, "state_dict": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(ModelFileError):
        read_checkpoint(tmp_path / "evil.ckpt")
    assert not (tmp_path / "owned").exists()


def test_the_compiled_kernels_and_the_reference_give_the_same_loss_curve(config_file, tmp_path):
    """50 steps in double precision; every epoch's training loss and validation errors agree to 1e-8."""
    if not native.available():
        pytest.skip("the compiled kernels are off or not installed")
    options = ["training.max_epochs=10", "model.dtype=float64", "model.l_max=2", "model.features=[8, 4, 2]"]
    curves = {}
    for wish in ("", "off"):
        output = tmp_path / f"run-{wish or 'on'}"
        command = ["train", str(config_file), f"output={output}", *options]
        subprocess.run(equipot(*command), check=True, env={**os.environ, "EQUIPOT_ENGINE": wish})
        curves[wish] = [{k: float(v) for k, v in row.items() if v and k != "seconds"} for row in rows(output)]
    assert int(curves[""][-1]["step"]) == 50
    assert curves[""][-1]["train_loss"] < 0.9 * curves[""][0]["train_loss"]
    for compiled, plain in zip(curves[""], curves["off"], strict=True):
        assert compiled == pytest.approx(plain, rel=1e-8)
