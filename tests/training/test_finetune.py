"""Trainings that begin with the weights of a model file."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from equipot.calculators import EquipotCalculator
from equipot.cli.main import main
from equipot.config_file import load_config
from equipot.model_file import load_model, load_potential, write_model
from equipot.network.variants import with_core_radii
from equipot.training.checkpoints import read_checkpoint
from equipot.training.start import starting_model
from tests.models import KINDS, make_potential
from tests.training.conftest import labelled_frames

SHIFT = {"Cu": 3.5, "Ni": -1.25}  # eV, between the model's and the labels' zeros of energy


@pytest.fixture(scope="module", params=["natural", "foreign"])
def made(request, tmp_path_factory):
    """Folder of a model file, and of sets labelled by it but for shifted reference energies."""
    folder = tmp_path_factory.mktemp(request.param)
    options = {**KINDS[request.param], "cutoff": 3.5}
    potential = make_potential(seed=1, species=("Ni", "Al", "Cu"), **options)
    calculator = EquipotCalculator(write_model(folder / "start.pt", potential, verify=False))
    for name, frames in (("train", labelled_frames(24)), ("test", labelled_frames(4, seed=1))):
        for atoms in frames:
            group = atoms.info["config_type"]
            atoms.calc = calculator
            energy = atoms.get_potential_energy() + sum(SHIFT[s] for s in atoms.symbols)
            results = {"energy": energy, "forces": atoms.get_forces(), "stress": atoms.get_stress()}
            atoms.calc = SinglePointCalculator(atoms, **results)
            atoms.info["config_type"] = group
        write(folder / f"{name}.extxyz", frames)
    return folder


@pytest.fixture
def start(made, tmp_path):
    """The model file."""
    return Path(shutil.copy(made / "start.pt", tmp_path))


@pytest.fixture
def fine(made, config_file, start):
    """A config file that starts from it."""
    for name in ("train", "test"):
        shutil.copy(made / f"{name}.extxyz", config_file.parent)
    config = yaml.safe_load(config_file.read_text())
    del config["model"]
    config["init"] = "start.pt"
    config_file.write_text(yaml.safe_dump(config))
    return config_file


def test_reference_energies_are_refitted_and_the_rest_is_the_files(fine, start, tmp_path):
    # The labels are the model's own but for the shifts: with these refitted there is nothing left to learn.
    assert main(["train", str(fine), "training.learning_rate=1e-12"]) == 0
    found, before = load_potential(tmp_path / "run" / "model.pt"), load_potential(start)
    assert found.type_names == ["Ni", "Cu"]
    expected = [float(before.e0[k]) + SHIFT[s] for k, s in ((0, "Ni"), (2, "Cu"))]
    np.testing.assert_allclose(found.e0, expected, atol=1e-9)
    torch.testing.assert_close(found.layers[1].linear_in.weight, before.layers[1].linear_in.weight)
    errors = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert "all" in json.dumps(errors)
    atoms = read(fine.parent / "test.extxyz", 0)
    energy = atoms.get_potential_energy()
    atoms.calc = EquipotCalculator(tmp_path / "run" / "model.pt")
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-8)


def test_a_core_gives_way_to_data_at_shorter_distances(fine, start, tmp_path):
    wide = with_core_radii(load_potential(start), [[3.0] * 3] * 3)
    write_model(start, wide, verify=False)
    assert main(["train", str(fine), "training.learning_rate=1e-12", "training.max_epochs=1"]) == 0
    radii = np.array(load_potential(tmp_path / "run" / "model.pt").spec.core_radii)
    shortest = min(
        a.get_all_distances(mic=True)[np.triu_indices(len(a), 1)].min()
        for a in read(fine.parent / "train.extxyz", ":")
    )
    assert radii.min() == pytest.approx(shortest, abs=0.2)  # the shortest may be a validation frame's
    assert (radii < 3.0).tolist() == [[False, True], [True, True]]  # no frame has two nickel atoms


def test_settings_repeat_a_fine_tuning(fine, tmp_path):
    assert main(["train", str(fine), "training.max_epochs=1", "training.ema_decay=0.5"]) == 0
    settings = tmp_path / "run" / "settings.yaml"
    assert main(["train", str(settings), f"output={tmp_path / 'again'}"]) == 0
    first, again = (load_potential(tmp_path / name / "model.pt").state_dict() for name in ("run", "again"))
    assert all(torch.equal(value, again[name]) for name, value in first.items())


def test_radial_functions_of_the_file_need_not_become_smoother(fine):
    config, _ = starting_model(load_config(fine))
    assert config.training.loss.curvature == 0
    given = starting_model(load_config(fine, ["training.loss.curvature=1e-9"]))[0]
    assert given.training.loss.curvature == 1e-9


def test_the_model_says_what_it_was_tuned_from(fine, tmp_path):
    assert main(["train", str(fine)]) == 0
    kept = load_model(tmp_path / "run" / "model.pt").metadata.training["fine_tuned_from"]
    assert kept["model"].endswith("start.pt")
    assert len(kept["sha256"]) == 64


def test_a_worse_result_than_the_start_is_not_kept(fine, start, tmp_path, capsys):
    # Labels without noise, and steps that can only lead away from them.
    assert main(["train", str(fine), "training.learning_rate=0.3", "training.max_epochs=2"]) == 0
    assert "no epoch is better than the start" in capsys.readouterr().out
    atoms = read(fine.parent / "test.extxyz", 0)
    forces = atoms.get_forces()
    atoms.calc = EquipotCalculator(tmp_path / "run" / "model.pt")
    np.testing.assert_allclose(atoms.get_forces(), forces, atol=2e-8)  # digits of extxyz


def test_reference_energies_can_be_kept_and_so_can_elements(fine, start, tmp_path):
    options = [f"init={{model: {start}, e0: keep, elements: all}}", "training.max_epochs=1"]
    assert main(["train", str(fine), *options, "training.learning_rate=1e-12"]) == 0
    found = load_potential(tmp_path / "run" / "model.pt")
    assert found.type_names == ["Ni", "Al", "Cu"]
    np.testing.assert_array_equal(found.e0, load_potential(start).e0)


def test_frozen_parts_do_not_change_and_others_do(fine, start, tmp_path):
    parts = ["embedding", "radial", "self_connection", "layers.0", "readout"]
    options = [f"init={{model: {start}, freeze: [{', '.join(parts)}]}}", "training.learning_rate=0.01"]
    assert main(["train", str(fine), *options]) == 0
    trained = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["state_dict"]
    before = load_potential(start).state_dict()
    changed = {
        name
        for name, value in before.items()
        if value.shape == trained[f"potential.{name}"].shape
        and not torch.equal(value, trained[f"potential.{name}"])
    }
    assert changed
    assert all(name.startswith(("layers.1.linear", "layers.1.bias")) for name in changed - {"e0", "scales"})


def test_a_resumed_fine_tuning_goes_on_to_the_same_bits(fine, tmp_path):
    assert main(["train", str(fine), f"output={tmp_path / 'whole'}"]) == 0
    assert main(["train", str(fine), "training.max_epochs=4", f"output={tmp_path / 'parts'}"]) == 0
    # Four epochs in one go, and the last two of them once more from a checkpoint of the second.
    assert (
        main(["train", str(fine), "training.max_epochs=4", f"output={tmp_path / 'parts'}", "--resume"]) == 0
    )
    for name in ("whole", "parts"):
        rows = list(csv.DictReader((tmp_path / name / "metrics.csv").open()))
        assert len(rows) == 4
    whole, parts = (
        read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt")["state_dict"]
        for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["init=nothing.pt"], "nothing.pt: no such file"),
        (["model.cutoff=5.0"], "model.cutoff is given together with init"),
        (
            ["init={model: START, freeze: [everything]}"],
            "init.freeze names 'everything'; expected names from embedding",
        ),
        (
            ["init={model: START, freeze: [embedding, radial, linear, self_connection, readout]}"],
            "nothing to train",
        ),
        (["init={model: START, thaw: []}"], "unknown key 'init.thaw'"),
    ],
)
def test_what_cannot_be_started_from_is_one_sentence(fine, start, capsys, options, sentence):
    options = [option.replace("START", str(start)) for option in options]
    assert main(["train", str(fine), *options]) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.strip().splitlines()) == 1


def test_elements_that_the_model_does_not_know_are_one_sentence(fine, tmp_path, capsys):
    other = write_model(tmp_path / "other.pt", make_potential(species=("Cu", "Al"), cutoff=3.5), verify=False)
    assert main(["train", str(fine), f"init={other}"]) == 1
    assert "does not know Ni; it knows Cu, Al" in capsys.readouterr().err
