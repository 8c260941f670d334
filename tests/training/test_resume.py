"""Resuming a training that has ended changes nothing; one that was interrupted after its last epoch is completed."""

from pathlib import Path

import pytest

from equipot.cli.main import main
from equipot.config_file import load_config
from equipot.errors import DataError
from equipot.training import run
from equipot.training.checkpoints import read_checkpoint
from equipot.training.run import train
from tests.training.conftest import RESTARTS


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (f for f in folder.rglob("*") if f.is_file())
    return {str(f.relative_to(folder)): (f.read_bytes(), f.stat().st_mtime_ns) for f in files}


def last(folder: Path) -> dict:
    return read_checkpoint(folder / "checkpoints" / "last.ckpt")


def resumed(config_file: Path, overrides: list[str], capsys) -> str:
    """Resume as on the command line; return what was printed, on one line."""
    capsys.readouterr()
    assert main(["train", str(config_file), *overrides, "--resume"]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["training.max_epochs=2"], "finished (2 of 2 epochs); give more max_epochs to continue it"),
        (
            ["training.max_epochs=null", "training.max_time=1"],
            "finished (1 s of 1 s); give a longer max_time to continue it",
        ),
    ],
)
def test_a_finished_training_is_left_as_it_is(config_file, tmp_path, capsys, overrides, sentence):
    train(load_config(config_file, overrides))
    before = content(tmp_path / "run")
    assert f"this training is {sentence}" in resumed(config_file, overrides, capsys)
    assert content(tmp_path / "run") == before


def test_a_training_that_ended_early_goes_on_only_with_another_length(
    config_file, tmp_path, capsys, ends_early
):
    train(load_config(config_file, RESTARTS))
    output = tmp_path / "run"
    before = content(output)
    assert "final/checkpoints/last.ckpt" in before
    assert "it ended early, after 16 of 64 epochs" in resumed(config_file, RESTARTS, capsys)
    assert content(output) == before
    # With 18 epochs there is no time left for a final training, so that no file of the first one may be used.
    assert "resuming after epoch 15" in resumed(config_file, [*RESTARTS, "training.max_epochs=18"], capsys)
    assert last(output)["epoch"] == 17
    assert not (output / "final/checkpoints/last.ckpt").exists()


def test_a_training_interrupted_after_its_last_epoch_gets_its_model_without_another_epoch(
    config_file, tmp_path, monkeypatch, ends_early
):
    with monkeypatch.context() as patch:
        patch.setattr(run, "finish", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(load_config(config_file, RESTARTS))
    output = tmp_path / "run"
    assert not (output / "model.pt").exists()
    checkpoints = [last(output), last(output / "final")]
    train(load_config(config_file, RESTARTS), resume=True)
    assert (output / "model.pt").exists()
    for before, folder in zip(checkpoints, (output, output / "final"), strict=True):
        assert last(folder)["global_step"] == before["global_step"]


def test_a_training_killed_before_its_final_training_continues_with_that(
    config_file, tmp_path, monkeypatch, ends_early
):
    with monkeypatch.context() as patch:
        patch.setattr(
            run, "_train_on_all_frames", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            train(load_config(config_file, RESTARTS))
    epochs = last(tmp_path / "run")["epoch"]
    train(load_config(config_file, RESTARTS), resume=True)
    assert last(tmp_path / "run")["epoch"] == epochs
    assert (tmp_path / "run/final/checkpoints/last.ckpt").exists()


def test_a_checkpoint_holds_what_the_end_of_its_epoch_has_decided(config_file, tmp_path, monkeypatch):
    """Cycles end after 1, 2, 4, … of 64 epochs. A training killed after 4 of them knows that cycle 3 has begun."""
    fit = run.fit

    def killed(trainer, *arguments):
        trainer.fit_loop.max_epochs = 4
        fit(trainer, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        train(load_config(config_file, RESTARTS))
    assert last(tmp_path / "run")["callbacks"]["NoBetterCycle"]["cycle"] == 3


def test_a_refused_training_leaves_no_folder_and_keeps_the_model_that_it_was_to_replace(
    config_file, tmp_path
):
    config = load_config(config_file, ["training.max_epochs=1"])
    text = (tmp_path / "train.extxyz").read_text()
    bad = text.replace("energy=", "energy=nan junk=", 1)
    (tmp_path / "train.extxyz").write_text(bad)
    with pytest.raises(DataError):
        train(config)
    assert not (tmp_path / "run").exists()
    (tmp_path / "train.extxyz").write_text(text)
    train(config)
    before = content(tmp_path / "run")
    (tmp_path / "train.extxyz").write_text(bad)
    with pytest.raises(DataError):
        train(config, overwrite=True)
    assert content(tmp_path / "run") == before


def test_a_new_training_does_not_continue_the_final_training_of_the_one_it_replaces(
    config_file, tmp_path, ends_early
):
    train(load_config(config_file, RESTARTS))
    seeded = [*RESTARTS, "training.seed=2"]
    train(load_config(config_file, seeded), overwrite=True)
    train(load_config(config_file, [*seeded, f"output={tmp_path / 'fresh'}"]))
    a, b = last(tmp_path / "run/final")["state_dict"], last(tmp_path / "fresh/final")["state_dict"]
    assert all(a[name].equal(b[name]) for name in b)
