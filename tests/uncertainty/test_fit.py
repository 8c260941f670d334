"""What a training fits at its end, and what it says where that is impossible."""

import pytest
import torch

from equipot import native
from equipot.network.derivatives import predict
from equipot.network.variants import without_uncertainty
from equipot.uncertainty.fit import TrainingSets, fit_uncertainty
from equipot.uncertainty.members import calibration_of
from tests.models import (
    explicit_members,
    make_potential,
    model_input,
    random_atoms,
    with_random_committee,
)
from tests.network.test_grade import graphs_of

WEIGHTS = (3.0, 0.7)


def labelled(potential, truth, n, seed):
    atoms = [random_atoms(6 + k % 3, seed=seed + k) for k in range(n)]
    graphs = graphs_of(potential, atoms)
    for graph, structure in zip(graphs, atoms, strict=True):
        graph.labels["forces"] = predict(truth, model_input(truth, structure)).forces
    return graphs


def test_a_model_of_all_frames_has_the_scale_of_the_model_that_has_not_seen_some():
    plain = make_potential(seed=4)
    near, far = explicit_members(with_random_committee(plain, 2))
    far.read.layers[-1].weight.data *= 1.5
    train, held_out = labelled(plain, near, 20, 0), labelled(plain, near, 8, 100)
    sets = TrainingSets(train, held_out, WEIGHTS, fitted_to_train=far)
    _, summary, lacks = fit_uncertainty(plain, sets, elapsed=100.0)
    assert lacks == []
    _, expected = calibration_of(far, train, held_out, WEIGHTS)
    own = fit_uncertainty(plain, TrainingSets(train, held_out, WEIGHTS), elapsed=100.0)[1]["predicted_errors"]
    assert summary["predicted_errors"]["force_factor"] == pytest.approx(expected.forces, rel=1e-6)
    assert own["force_factor"] < 0.9 * expected.forces


def test_without_held_out_frames_there_are_grades_alone():
    plain = make_potential(seed=4)
    train = labelled(plain, plain, 20, 0)
    potential, summary, lacks = fit_uncertainty(plain, TrainingSets(train, [], WEIGHTS), elapsed=0.0)
    assert potential.grade is not None
    assert potential.members is None
    assert set(summary) == {"extrapolation_grade", "uncertainty_seconds"}
    assert lacks == ["The model predicts no errors: there are no validation frames to measure their size"]


def test_without_the_kernels_there_are_grades_alone(monkeypatch):
    plain = make_potential(seed=4)
    train = labelled(plain, plain, 20, 0)
    monkeypatch.setattr(native, "available", lambda: False)
    potential, _, lacks = fit_uncertainty(plain, TrainingSets(train, train, WEIGHTS), elapsed=0.0)
    assert potential.members is None
    assert len(lacks) == 1
    assert "predicted errors need the compiled kernels" in lacks[0]


def test_what_cannot_be_fitted_changes_no_number():
    plain = make_potential(seed=4)
    few = labelled(plain, plain, 1, 0)[:0]
    potential, summary, lacks = fit_uncertainty(plain, TrainingSets(few, few, WEIGHTS), elapsed=0.0)
    assert len(lacks) == 2
    assert set(summary) == {"uncertainty_seconds"}
    same = without_uncertainty(potential).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in plain.state_dict().items())
