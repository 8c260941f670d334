"""The final training on all frames: when there is one, on what, and what it leaves."""

import csv
from pathlib import Path

import pytest

from equipot.config_file import load_config
from equipot.model_file import read_metadata
from equipot.training import run
from equipot.training.checkpoints import read_checkpoint
from equipot.training.run import train
from tests.training.conftest import RESTARTS


def epochs_of(folder: Path) -> list[int]:
    with open(folder / "metrics.csv") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def test_a_training_that_ends_early_is_repeated_on_all_frames_for_its_best_length(config_file, ends_early):
    config = load_config(config_file, RESTARTS)
    output = Path(config.output)
    train(config)
    best = read_checkpoint(output / "checkpoints" / "best.ckpt")["epoch"]
    final = read_checkpoint(output / "final" / "checkpoints" / "last.ckpt")
    labels = final["equipot"]["description"]["labels"]
    assert labels == {"train": 24, "validation": 0, "test": 4}
    assert epochs_of(output / "final") == list(range(best + 1))
    assert read_metadata(output / "model.pt").training["frames"]["train"] == 24
    # All frames count for what the network takes from the data.
    assert final["equipot"]["description"]["statistics"]["n_frames"] == 24


def test_without_test_frames_the_model_before_is_evaluated(config_file, ends_early, capsys):
    config = load_config(config_file, [*RESTARTS, "data.test=null"])
    train(config)
    output = Path(config.output)
    assert (output / "validated.pt").exists()
    assert "the model before it is evaluated" in " ".join(capsys.readouterr().out.split())
    assert read_metadata(output / "validated.pt").training["frames"]["train"] < 24
    # The size of errors comes from the training before it, which has not seen the validation frames.
    factors = [
        read_metadata(output / name).training["predicted_errors"]["force_factor"]
        for name in ("model.pt", "validated.pt")
    ]
    assert factors[0] == pytest.approx(factors[1], rel=0.2)


def test_an_interrupted_final_training_is_resumed(config_file, ends_early, monkeypatch):
    overrides = [*RESTARTS, "training.ema_decay=0.5"]
    whole = load_config(config_file, [*overrides, f"output={config_file.parent / 'whole'}"])
    train(whole)
    config = load_config(config_file, overrides)
    fit, calls = run.fit, []

    def interrupted(trainer, module, data, checkpoint):
        calls.append(checkpoint)
        if len(calls) == 2:
            trainer.fit_loop.max_epochs = 1  # the final training is killed after its first epoch
            fit(trainer, module, data, checkpoint)
            raise KeyboardInterrupt
        fit(trainer, module, data, checkpoint)

    monkeypatch.setattr(run, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.setattr(run, "fit", fit)
    train(config, resume=True)
    finals = [
        read_checkpoint(Path(c.output) / "final" / "checkpoints" / "last.ckpt") for c in (whole, config)
    ]
    assert finals[0]["global_step"] == finals[1]["global_step"]
    for name, value in finals[0]["state_dict"].items():
        assert value.equal(finals[1]["state_dict"][name]), name


@pytest.mark.parametrize(
    "overrides",
    [["training.final=false"], ["training.schedule=cosine"], ["data.validation_fraction=0"]],
)
def test_other_trainings_have_none(config_file, ends_early, overrides):
    config = load_config(config_file, [*RESTARTS, "training.max_epochs=4", *overrides])
    train(config)
    assert not (Path(config.output) / "final").exists()


def test_a_training_that_used_its_time_has_none(config_file):
    config = load_config(config_file, [*RESTARTS, "training.max_epochs=4"])
    train(config)
    assert not (Path(config.output) / "final").exists()
