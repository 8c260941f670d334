"""The calibration of predicted errors: normal errors of known size, and the files of an evaluation."""

import json

import numpy as np
import pytest
from rich.console import Console

from equipot.evaluation.evaluation import evaluate, evaluate_and_write
from equipot.evaluation.predicted_errors import Calibration
from equipot.model_file import load_model, write_model
from equipot.structures import frame_from_atoms
from tests.models import make_potential, random_atoms, with_random_committee


def normal_errors(n=20000, components=3, seed=0):
    rng = np.random.default_rng(seed)
    sigmas = rng.uniform(0.01, 0.2, n)
    return sigmas[:, None] / np.sqrt(components) * rng.standard_normal((n, components)), sigmas


@pytest.mark.parametrize("components", [1, 3])
def test_errors_of_the_predicted_size_are_calibrated(components):
    errors, sigmas = normal_errors(components=components)
    c = Calibration.of(errors, sigmas)
    assert c.predicted == pytest.approx(c.rmse, rel=0.02)
    assert c.within == pytest.approx(0.683, abs=0.01)
    assert c.area < 0.01
    s = np.repeat(sigmas, components) / np.sqrt(components)
    assert c.crps == pytest.approx(
        np.mean(s) / np.sqrt(np.pi), rel=0.02
    )  # of a calibrated normal distribution
    assert c.nll == pytest.approx(np.mean(np.log(s)) + 0.5 * np.log(2 * np.pi * np.e), rel=0.02)
    assert 0.3 < c.spearman < 0.9
    assert len(c.bins) == 10
    assert all(true == pytest.approx(predicted, rel=0.1) for predicted, true in c.bins)


def test_errors_twice_as_large_as_predicted_are_seen():
    errors, sigmas = normal_errors()
    c = Calibration.of(2 * errors, sigmas)
    assert c.rmse == pytest.approx(2 * c.predicted, rel=0.02)
    assert c.area > 0.15
    assert c.nll > Calibration.of(2 * errors, 2 * sigmas).nll


def test_values_without_meaning_are_left_out():
    errors, sigmas = normal_errors(50)
    assert Calibration.of(errors, np.full(50, np.inf)) is None
    sigmas[:10] = np.inf
    sigmas[10:20] = 0
    assert Calibration.of(errors, sigmas).count == 3 * 30
    assert Calibration.of(np.ones((5, 1)), np.ones(5)).spearman is None


def labelled(n):
    frames = []
    for k in range(n):
        frame = frame_from_atoms(random_atoms(6, seed=k))
        forces = np.random.default_rng(k).standard_normal((6, 3))
        frames.append(frame.relabelled(energy=-12.0 + 0.1 * k, forces=forces))
    return frames


def test_an_evaluation_has_table_file_and_plot(tmp_path, figures):
    potential = with_random_committee(make_potential(seed=2))
    model = load_model(write_model(tmp_path / "m.pt", potential, verify=False))
    console = Console(record=True, width=120)
    evaluation = evaluate_and_write(model, labelled(12), tmp_path / "out", console=console)
    text = console.export_text()
    assert "Predicted errors (12 frames)" in text
    assert "forces (meV/Å)" in text
    written = json.loads((tmp_path / "out/evaluation.json").read_text())["predicted_errors"]
    assert written["forces"]["rmse"] == pytest.approx(evaluation.errors["forces"].rmse, rel=1e-9)
    assert written["energy_per_atom"]["rmse"] == pytest.approx(evaluation.errors["energy"].rmse, rel=1e-9)
    assert written["forces"]["count"] == 12 * 6 * 3
    assert (tmp_path / "out/predicted_errors.png").stat().st_size > 5000


def test_frames_without_labels_and_models_without_members_have_no_predicted_errors(tmp_path):
    potential = make_potential(seed=2)
    plain = load_model(write_model(tmp_path / "p.pt", potential, verify=False))
    assert evaluate(plain, labelled(3)).predicted_errors is None
    model = load_model(write_model(tmp_path / "m.pt", with_random_committee(potential), verify=False))
    assert evaluate(model, [frame_from_atoms(random_atoms(6))]).predicted_errors is None
