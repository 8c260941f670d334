"""What a training chooses from data and time, and what it leaves alone."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from rich.console import Console

from equipot.config_file import load_config
from equipot.training import choices, run
from equipot.training.checkpoints import read_checkpoint
from equipot.training.run import train
from tests.copper import scan


def config_for(folder: Path, frames: list, **sections) -> Path:
    write(folder / "train.extxyz", frames)
    config = {
        "data": {"train": "train.extxyz", **sections.pop("data", {})},
        "model": {"cutoff": 3.0, **sections.pop("model", {})},
        "training": {"max_epochs": 1, "threads": 1, **sections.pop("training", {})},
        "output": str(folder / "run"),
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def rattled(atoms, n: int) -> list:
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(n):
        frame = atoms.copy()
        frame.positions += rng.normal(scale=0.05, size=frame.positions.shape)
        frame.calc = EMT()
        labels = {"energy": frame.get_potential_energy(), "forces": frame.get_forces()}
        frame.calc = SinglePointCalculator(frame, **labels)
        frames.append(frame)
    return frames


def choices_of(path: Path, speed: float, monkeypatch, overrides=()) -> list[choices.Choice]:
    """Return the choices on a machine whose steps take `speed` seconds per layer."""
    monkeypatch.setattr(choices, "seconds_per_step", lambda potential, *_: speed * potential.n_layers)
    config = load_config(path, overrides)
    data = run._load(config, path.parent / "run", Console(quiet=True))
    return choices.choose(config, data, lambda trial: run._new_potential(trial, data))


def chosen(*arguments) -> dict:
    """Return the values of `choices_of` by key."""
    return {choice.key: choice.value for choice in choices_of(*arguments)}


def test_small_periodic_sets_have_weight_decay_and_molecules_have_none(tmp_path, monkeypatch):
    crystal = config_for(tmp_path, rattled(bulk("Cu", cubic=True), 12))
    assert chosen(crystal, 1.0, monkeypatch)["training.weight_decay"] == choices.DECAY
    assert "training.weight_decay" not in chosen(crystal, 1.0, monkeypatch, ["training.weight_decay=0"])
    assert "training.weight_decay" not in chosen(crystal, 1.0, monkeypatch, ["training.optimizer=adamw"])
    monkeypatch.setattr(choices, "SMALL", 3 * 4 * 10)  # the training set has 11 frames of 4 atoms
    assert "training.weight_decay" not in chosen(crystal, 1.0, monkeypatch)
    molecules = config_for(tmp_path, rattled(molecule("CH3CH2OH"), 12))
    assert "training.weight_decay" not in chosen(molecules, 1.0, monkeypatch)


def test_the_largest_network_with_time_for_enough_steps_is_chosen(tmp_path, monkeypatch):
    path = config_for(tmp_path, rattled(molecule("CH3CH2OH"), 12), training={"max_time": 600})
    for speed, preset in ((0.001, "accurate"), (0.06, "balanced"), (1.0, "fast")):
        assert chosen(path, speed, monkeypatch)["model.preset"] == preset


def test_crystals_get_another_network_than_molecules(tmp_path, monkeypatch):
    path = config_for(tmp_path, rattled(bulk("Cu", cubic=True), 12), training={"max_time": 600})
    assert chosen(path, 0.001, monkeypatch)["model.preset"] == "balanced"


def test_the_reason_for_a_small_network_names_the_one_that_has_no_time_for_enough_steps(
    tmp_path, monkeypatch
):
    path = config_for(tmp_path, rattled(bulk("Cu", cubic=True), 12), training={"max_time": 600})
    # 600 s; balanced has three layers, fast two.
    for speed, reason in (
        (
            0.125,
            "periodic frames: balanced would get 1,600 steps in the time, 2,000 are needed; fast gets 2,400",
        ),
        (0.01, "periodic frames: balanced gets 20,000 steps in the time"),
    ):
        made = {c.key: c for c in choices_of(path, speed, monkeypatch)}["model.preset"]
        assert made.reason == reason


def test_large_frames_make_small_batches(tmp_path, monkeypatch):
    path = config_for(tmp_path, rattled(bulk("Cu", cubic=True) * (4, 4, 4), 6))
    assert chosen(path, 0.001, monkeypatch)["training.batch_size"] == 1


def test_what_the_config_says_is_not_chosen(tmp_path, monkeypatch):
    path = config_for(tmp_path, rattled(molecule("CH3CH2OH"), 12))
    assert chosen(path, 0.001, monkeypatch, ["training.batch_size=3", "model.preset=tiny"]) == {}
    assert "model.preset" in chosen(path, 0.001, monkeypatch, ["model.preset=auto"])


@pytest.fixture
def with_pulay_stress(tmp_path):
    frames = []
    for frame in scan(24):
        shifted = frame.relabelled(stress=frame.stress - 0.02 * np.eye(3))
        frames.append(shifted.to_atoms())
    return config_for(tmp_path, frames, model={"preset": "tiny", "cutoff": 3.5})


def test_stresses_that_contradict_the_energies_are_shifted_and_left_out_at_the_end(
    with_pulay_stress, monkeypatch
):
    made = chosen(with_pulay_stress, 0.001, monkeypatch)
    assert made["data.stress_offset"] == pytest.approx(0.02, abs=1e-3)
    assert made["training.loss.stress"] == 0
    assert made["training.loss.initial.stress"] == 1
    config = load_config(with_pulay_stress)
    data = run._load(config, with_pulay_stress.parent / "run", Console(quiet=True))
    known = {round(f.volume, 6): f.stress for f in scan(24)}
    for graph in data.train:
        np.testing.assert_allclose(graph.labels["stress"], known[round(graph.volume, 6)], atol=1e-3)


def test_settings_beside_the_model_repeat_the_training(tmp_path):
    path = config_for(tmp_path, rattled(bulk("Cu", cubic=True), 8), training={"max_time": 1})
    train(load_config(path))
    output = tmp_path / "run"
    again = load_config(output / "settings.yaml", [f"output={tmp_path / 'again'}"])
    assert not [key for key in ("model.preset", "training.batch_size") if choices.is_open(again, key)]
    train(again)
    a, b = (
        read_checkpoint(folder / "checkpoints" / "last.ckpt")["equipot"]["description"]
        for folder in (output, tmp_path / "again")
    )
    assert a["spec"] == b["spec"]
    assert {k: v for k, v in a["config"].items() if k not in ("output", "data")} == {
        k: v for k, v in b["config"].items() if k not in ("output", "data")
    }


def test_a_resumed_training_keeps_its_choices(tmp_path, monkeypatch):
    path = config_for(tmp_path, rattled(bulk("Cu", cubic=True), 8))
    train(load_config(path))
    before = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["equipot"]["description"]
    monkeypatch.setattr(choices, "choose", None)  # would choose again
    train(load_config(path, ["training.max_epochs=2"]), resume=True)
    after = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert after["epoch"] == 1
    assert after["equipot"]["description"]["spec"] == before["spec"]
