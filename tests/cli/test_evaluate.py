import json
import re

import ase.io
import numpy as np
import pytest
import torch

from equipot.calculators import EquipotCalculator
from equipot.cli.main import main
from equipot.model_file import write_model
from equipot.network.variants import with_grade
from tests.models import make_potential, random_atoms


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "model.pt", make_potential(seed=3), verify=False)


@pytest.fixture
def data(path, tmp_path):
    """Labels of the model itself, energies raised by 8 meV an atom, forces and stress as they are."""
    calculator = EquipotCalculator(path)
    frames = []
    for seed in range(4):
        atoms = random_atoms(5, seed=seed)
        atoms.calc = calculator
        labelled = atoms.copy()
        labelled.info["my_energy"] = atoms.get_potential_energy() + 0.008 * len(atoms)
        labelled.arrays["my_forces"] = atoms.get_forces()
        labelled.info["my_stress"] = atoms.get_stress()
        labelled.info["config_type"] = "even" if seed % 2 == 0 else "odd"
        frames.append(labelled)
    file = tmp_path / "test.extxyz"
    ase.io.write(file, frames)
    return file


KEYS = ["--energy-key", "my_energy", "--forces-key", "my_forces", "--stress-key", "my_stress"]


def test_the_errors_are_those_that_were_put_in(path, data, tmp_path, capsys, figures):
    folder = tmp_path / "out" / "evaluation"
    assert main(["evaluate", str(path), str(data), "-o", str(folder), *KEYS]) == 0
    found = json.loads((folder / "evaluation.json").read_text())
    # The file has eight decimals.
    assert found["energy_per_atom"]["mae"] == pytest.approx(0.008, abs=1e-6)
    assert found["energy_per_atom"]["rmse"] == pytest.approx(0.008, abs=1e-6)
    assert found["energy_per_atom"]["count"] == 4
    assert found["forces"]["count"] == 60
    assert found["forces"]["rmse"] < 1e-6
    assert found["stress"]["rmse"] < 1e-6
    assert set(found["groups"]) == {"even", "odd"}
    assert set(found["groups"]["odd"]) == {"energy_per_atom", "forces", "stress"}
    assert set(found["forces_by_species"]) <= {"Si", "O"}
    assert found["n_frames"] == 4
    assert found["data"] == [str(data)]
    assert found["model"] == str(path)
    assert (folder / "parity.png").read_bytes().startswith(b"\x89PNG")
    predictions = ase.io.read(folder / "predictions.extxyz", ":")
    shift = [a.info["reference_energy"] - a.get_potential_energy() for a in predictions]
    np.testing.assert_allclose(shift, 0.008 * 5, atol=1e-6)
    text = capsys.readouterr().out
    assert "meV/atom" in text
    assert "8 / 8" in text
    assert "my_energy (4 frames)" in text


def test_batches_do_not_change_the_errors(path, data, tmp_path):
    results = []
    for edges in ("1", "100000"):
        arguments = [
            "evaluate",
            str(path),
            str(data),
            "-o",
            str(tmp_path / edges),
            "--batch-edges",
            edges,
            *KEYS,
        ]
        assert main(arguments) == 0
        results.append(json.loads((tmp_path / edges / "evaluation.json").read_text()))
    assert results[0]["forces"]["count"] == results[1]["forces"]["count"]
    assert results[0]["energy_per_atom"]["mae"] == pytest.approx(
        results[1]["energy_per_atom"]["mae"], abs=1e-12
    )


def test_an_unknown_element_stops_before_anything_is_written(path, tmp_path, capsys):
    atoms = random_atoms(4)
    strange = atoms.copy()
    strange.symbols[0] = "Ge"
    file = tmp_path / "test.extxyz"
    ase.io.write(file, [atoms, strange])
    assert main(["evaluate", str(path), str(file), "-o", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert f"{file}#1 holds Ge" in captured.err
    assert captured.out == ""
    assert not (tmp_path / "out").exists()


def test_a_key_that_no_frame_has_is_an_error(path, data, tmp_path, capsys):
    arguments = ["evaluate", str(path), str(data), "-o", str(tmp_path / "out"), "--energy-key", "my_enrgy"]
    assert main(arguments) == 1
    assert "did you mean my_energy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (["--batch-edges", "0"], "expected a positive number"),
        (["--device", "cuda:77"], "device"),
        (["--device", "abacus"], "'abacus' is not a device"),
    ],
)
def test_bad_options_are_one_sentence(path, data, tmp_path, capsys, extra, sentence):
    assert main(["evaluate", str(path), str(data), "-o", str(tmp_path / "out"), *extra]) == 1
    message = capsys.readouterr().err
    assert sentence in message
    assert len(message.strip().splitlines()) == 1


def test_without_an_output_folder_it_is_bad_usage(path, data):
    with pytest.raises(SystemExit) as leaving:
        main(["evaluate", str(path), str(data)])
    assert leaving.value.code == 2


def test_structures_without_labels_get_predictions_and_no_errors(path, tmp_path, capsys):
    structures = [random_atoms(4, seed=k, pbc=k > 0) for k in range(3)]
    file, folder = tmp_path / "new.extxyz", tmp_path / "out"
    ase.io.write(file, structures)
    assert main(["evaluate", str(path), str(file), "-o", str(folder)]) == 0
    calculator = EquipotCalculator(path)
    for atoms, predicted in zip(structures, ase.io.read(folder / "predictions.extxyz", ":"), strict=True):
        atoms.calc = calculator
        # The file has eight decimals.
        assert predicted.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(predicted.get_forces(), atoms.get_forces(), atol=1e-6)
        assert ("stress" in predicted.calc.results) == bool(atoms.pbc.any())
    assert json.loads((folder / "evaluation.json").read_text())["forces"] is None
    assert not (folder / "parity.png").exists()
    text = " ".join(capsys.readouterr().out.split())
    assert "No frame has labels to compare with" in text
    assert re.search(r"Predicted 3 frames with 12 atoms in \S+ s, \S+ structures per second", text)
    assert "predictions.extxyz, parity.png" not in text
    assert "Errors" not in text


def test_predictions_have_the_extrapolation_grades(tmp_path):
    potential = make_potential(seed=3)
    d = potential.read.width
    graded = with_grade(potential, torch.zeros(2, d), torch.eye(d).reshape(1, -1).repeat(2, 1), torch.ones(2))
    path = write_model(tmp_path / "graded.pt", graded, verify=False)
    atoms = random_atoms(4)
    ase.io.write(tmp_path / "new.extxyz", atoms)
    assert main(["evaluate", str(path), str(tmp_path / "new.extxyz"), "-o", str(tmp_path)]) == 0
    atoms.calc = EquipotCalculator(path)
    atoms.calc.warns = False
    atoms.get_potential_energy()
    written = ase.io.read(tmp_path / "predictions.extxyz").arrays["gamma"]
    np.testing.assert_allclose(written, atoms.calc.outputs["gamma"], rtol=1e-4, atol=1e-7)
