"""The split of an epoch's time, from records made by hand and from a training."""

import io

import pytest
from rich.console import Console

from equipot.config_file import load_config
from equipot.training.profile import EPOCH, OPTIMIZER, split
from equipot.training.run import train


def test_nothing_is_counted_twice_and_the_rest_is_what_remains():
    parts, total = split(
        {
            EPOCH: [4.0, 6.0],
            "[Strategy]SingleDeviceStrategy.training_step": [1.0, 2.0],
            "[Strategy]DDPStrategy.backward": [3.0],
            OPTIMIZER: [3.5, 3.0],  # step and backward pass happen inside
            "[_TrainingEpochLoop].train_dataloader_next": [0.25],
            "something else": [9.0],
        }
    )
    assert total == 10.0
    assert parts["energies, forces, loss"] == 3.0
    assert parts["gradient of the weights"] == 3.0
    assert parts["optimizer"] == 0.5
    assert parts["batches put together"] == 0.25
    assert parts["other"] == pytest.approx(3.25)
    assert sum(parts.values()) == pytest.approx(total)


def test_a_profiled_training_finds_every_part(config_file):
    text = io.StringIO()
    train(load_config(config_file), console=Console(file=text, width=120), profile=True)
    lines = {
        line.split("│")[1].strip(): line for line in text.getvalue().splitlines() if line.count("│") == 4
    }
    for part in (
        "gradient of the weights",
        "energies, forces, loss",
        "optimizer",
        "validation",
        "checkpoints",
    ):
        assert float(lines[part].split("│")[2]) > 0, part
