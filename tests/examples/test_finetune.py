"""The example on fine-tuning, in its shortest form, from a model that was trained on the same set."""

import json
from pathlib import Path

import pytest
from ase.io import read, write

from equipot.cli.main import main
from tests.examples.running import EXAMPLES, definitions, end_of_example

NAME = "finetune"
FOLDERS = {"from scratch": "scratch", "fine-tuned": "finetuned"}


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    config = folder / "config.yaml"
    config.write_text(
        f"data: {{train: {EXAMPLES / 'silicon/silicon.extxyz'}}}\nmodel: {{preset: tiny, cutoff: 4.0}}\n"
        f"training: {{max_epochs: 2, threads: 1}}\noutput: {folder / 'model'}\n"
    )
    assert main(["train", str(config)]) == 0
    return folder / "model/model.pt"


@pytest.fixture(scope="module")
def output(start, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finetune")
    assert end_of_example(NAME, "--output", folder, "--model", start, "--minutes", 0.03) == 0
    return folder


def test_the_errors_are_those_of_equipot_evaluate(output, start, tmp_path):
    found = json.loads((output / "errors.json").read_text())
    train, test = definitions(NAME)["split"](25, 0)
    assert len(train) == len(read(output / "train.extxyz", ":")) == 25
    assert len(test) == 145
    test_file = tmp_path / "test.extxyz"
    write(test_file, test)
    models = {"universal": start} | {n: output / f"{f}/model.pt" for n, f in FOLDERS.items()}
    for name, model in models.items():
        assert main(["evaluate", str(model), str(test_file), "-o", str(tmp_path / "evaluation")]) == 0
        expected = json.loads((tmp_path / "evaluation/evaluation.json").read_text())
        assert found[name]["forces_meV_per_A"] == pytest.approx(1000 * expected["forces"]["rmse"], rel=1e-4)
        assert found[name]["stress_meV_per_A3"] == pytest.approx(1000 * expected["stress"]["rmse"], rel=1e-4)
        energy = 1000 * expected["energy_per_atom"]["rmse"]
        if name == "universal":  # shifted to the training frames
            assert found[name]["energy_meV_per_atom"] != pytest.approx(energy, rel=1e-3)
        else:
            assert found[name]["energy_meV_per_atom"] == pytest.approx(energy, rel=1e-4)
    assert (output / "errors.png").is_file()


def test_no_frame_is_in_both_parts():
    train, test = definitions(NAME)["split"](25, 3)
    ids = [{atoms.info["id"] for atoms in part} for part in (train, test)]
    assert not ids[0] & ids[1]
    assert len(ids[0] | ids[1]) == 170


def test_a_missing_start_is_named_before_any_training(tmp_path, capsys):
    assert end_of_example(NAME, "--output", tmp_path / "none", "--model", tmp_path / "none.pt") == 2
    assert "none.pt: no such file" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
