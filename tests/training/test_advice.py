"""What the sentence at the end of a training says for learning curves of known shapes."""

import numpy as np
from ase.io import read

from equipot.calculators import EquipotCalculator
from equipot.config_file import load_config
from equipot.training.advice import advice
from equipot.training.run import train


def curve(validation: list[float]) -> list[dict[str, str]]:
    """Return the rows of metrics.csv for force errors in meV/Å, one every 10 s.

    Errors on the training frames during the epochs are large, and must not be taken for those of the model.
    """
    return [
        {
            "seconds": str(10 * (k + 1)),
            "score": str(v),
            "validation_forces_rmse": str(v / 1e3),
            "train_forces_rmse": "9",
        }
        for k, v in enumerate(validation)
    ]


def test_errors_that_still_fall_ask_for_time():
    text = advice(curve([80, 60, 45, 33]), "restarts", {"forces_rmse": 0.033})
    assert "More time would help: the second half of the time took" in text
    assert "from 60.0 to 33.0 meV/Å" in text
    assert "More data would help little" in text


def test_errors_that_fall_on_the_fitted_frames_alone_ask_for_data():
    text = advice(curve([80, 41, 60, 40]), "restarts", {"forces_rmse": 0.010})
    assert "More time would help little" in text
    assert "More data would help: the validation error of the forces is 40.0 meV/Å" in text
    assert "frames that the model was fitted to 10.0 meV/Å" in text


def test_half_of_one_cosine_says_nothing_about_time():
    assert "time" not in advice(curve([80, 60, 45, 33]), "cosine", {"forces_rmse": 0.033})


def test_without_validation_there_is_no_sentence():
    rows = [{"seconds": "1", "score": "1", "train_forces_rmse": "0.1", "validation_forces_rmse": ""}]
    assert advice(rows, "restarts", {"forces_rmse": 0.1}) == ""
    assert advice([], "restarts", {}) == ""


def test_a_model_that_was_fitted_to_nothing_has_no_sentence_about_data():
    assert "data" not in advice(curve([80, 60, 45, 33]), "restarts", {})


def test_the_fitted_frames_are_evaluated_with_the_exported_model(config_file, capsys):
    """An independent answer: the errors of the exported model, through the calculator, on all training frames."""
    validation = f"data.validation={config_file.parent / 'test.extxyz'}"
    config = load_config(config_file, [validation, "training.schedule=cosine"])
    model = train(config)
    atoms_of = read(config_file.parent / "train.extxyz", ":")
    errors = []
    for atoms in atoms_of:
        reference = atoms.get_forces()
        atoms.calc = EquipotCalculator(model)
        errors.append(atoms.get_forces() - reference)
    rmse = 1e3 * np.sqrt(np.mean(np.square(errors)))
    printed = " ".join(capsys.readouterr().out.split())
    assert f"frames that the model was fitted to {rmse:.1f} meV/Å" in printed
