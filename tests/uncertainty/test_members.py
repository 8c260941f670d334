"""Members of a committee in the runtime and in ASE: they are models with other last weights."""

import numpy as np
import pytest
import torch

from equipot.calculators import EquipotCalculator
from equipot.errors import ModelFileError
from equipot.model_file import load_potential, write_model
from equipot.network.derivatives import predict
from equipot.network.variants import with_elements, with_precision, without_uncertainty
from equipot.ops import topology
from equipot.runtime import RuntimeModel
from equipot.uncertainty.grade import fit_grade
from equipot.uncertainty.members import _directions
from tests.models import (
    KINDS,
    OURS,
    explicit_members,
    make_potential,
    model_input,
    random_atoms,
    with_random_committee,
)
from tests.network.test_grade import graphs_of

ATOMS = random_atoms(9, seed=3)


def evaluated(potential, threads=1, positions=None):
    """The runtime's result, and the gradients of the members."""
    gradients = []
    inputs = [t.numpy() for t in model_input(potential, ATOMS)[:3]]
    model = RuntimeModel.from_program(potential.program())
    assert model.n_members == len(potential.members.deltas)
    result = model.evaluate(
        *inputs,
        threads=threads,
        positions=positions,
        deviation=True,
        member=lambda k, g: gradients.append(g.copy()),
    )
    return result, gradients


@pytest.mark.parametrize("kind", [*KINDS, "ours"])
def test_members_are_models_with_other_last_weights(kind):
    potential = with_random_committee(make_potential(seed=2, **KINDS.get(kind, OURS)))
    inputs = model_input(potential, ATOMS)
    result, gradients = evaluated(potential)
    base = predict(without_uncertainty(potential), inputs).edge_gradient.numpy()
    np.testing.assert_allclose(result.edge_gradient, base, rtol=0, atol=1e-12 * np.abs(base).max())
    for model, gradient in zip(explicit_members(potential), gradients, strict=True):
        expected = predict(model, inputs).edge_gradient.numpy() - base
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-12 * np.abs(base).max())


def test_the_deviation_of_the_energy_is_that_of_the_features():
    potential = with_random_committee(make_potential(seed=2, readout_hidden=5))
    inputs = model_input(potential, ATOMS)
    features = potential.last_features(inputs, topology(inputs.edge_index, 9, 9)).detach()
    scaled = (features * potential.scales[inputs.species][:, None]).sum(0)
    result, _ = evaluated(potential)
    np.testing.assert_allclose(result.deviation, (potential.members.factor @ scaled).numpy(), rtol=1e-12)


def test_threads_and_moments_change_no_member():
    potential = with_random_committee(make_potential(seed=2, n_layers=3))
    result, gradients = evaluated(potential)
    again, others = evaluated(potential, threads=3, positions=ATOMS.positions)
    assert np.array_equal(np.array(gradients), np.array(others))
    assert np.array_equal(result.edge_gradient, again.edge_gradient)
    assert np.array_equal(result.deviation, again.deviation)


def test_members_survive_other_precision_and_other_elements():
    potential = with_random_committee(make_potential(seed=2))
    for changed in (with_precision(potential, "float32"), with_elements(potential, ["Si"])):
        assert torch.equal(changed.members.deltas, potential.members.deltas)
        assert torch.equal(changed.members.factor, potential.members.factor)
    plain = without_uncertainty(potential)
    assert plain.members is None
    assert RuntimeModel.from_program(plain.program()).n_members == 0


def test_a_model_without_members_is_a_sentence(tmp_path):
    model = RuntimeModel.from_program(make_potential().program())
    inputs = [t.numpy() for t in model_input(make_potential(), ATOMS)[:3]]
    with pytest.raises(ValueError, match="has no members"):
        model.evaluate(*inputs, deviation=True)
    calculator = EquipotCalculator(write_model(tmp_path / "m.pt", make_potential(), verify=False))
    with pytest.raises(ModelFileError, match="predicts no errors; add them with `equipot uncertainty"):
        calculator.predicted_errors(ATOMS)


def test_an_error_of_the_caller_is_passed_on():
    potential = with_random_committee(make_potential())
    inputs = [t.numpy() for t in model_input(potential, ATOMS)[:3]]

    def fail(k, gradient):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RuntimeModel.from_program(potential.program()).evaluate(*inputs, member=fail)


@pytest.mark.parametrize("graded", [False, True])
def test_the_calculator_gives_the_spread_of_the_members(tmp_path, graded):
    potential = with_random_committee(make_potential(seed=2))
    if graded:
        potential = fit_grade(
            potential, graphs_of(potential, [random_atoms(8, seed=k) for k in range(9)])
        ).potential
        potential = with_random_committee(potential)
    path = write_model(tmp_path / "m.pt", potential, verify=False)
    assert torch.equal(load_potential(path).members.deltas, potential.members.deltas)
    calculator = EquipotCalculator(path)
    errors = calculator.predicted_errors(ATOMS)
    models = [
        EquipotCalculator(write_model(tmp_path / f"{k}.pt", model, verify=False))
        for k, model in enumerate([without_uncertainty(potential), *explicit_members(potential)])
    ]
    base, *members = [model.get_forces(ATOMS) for model in models]
    spread = np.sqrt(np.mean([np.square(forces - base).sum(1) for forces in members], axis=0))
    if graded:
        calculator.warns = False
        calculator.get_forces(ATOMS)
        assert calculator.outputs["gamma"].max() > 1
        spread *= np.clip(calculator.outputs["gamma"], 1, None)
    np.testing.assert_allclose(errors.forces, spread, rtol=1e-10)
    result, _ = evaluated(potential)
    assert errors.energy == pytest.approx(np.linalg.norm(result.deviation), rel=1e-12)
    assert calculator.predicted_errors().energy == errors.energy if graded else True


@pytest.mark.parametrize(("n", "d"), [(16, 32), (4, 3), (16, 5), (2, 7)])
def test_directions_have_no_mean_and_the_right_spread(n, d):
    directions = _directions(n, d)
    assert directions.shape == (n, d)
    np.testing.assert_allclose(directions.mean(0), 0, atol=1e-12)
    many = [_directions(n, d, seed=seed) for seed in range(400)]
    covariance = np.mean([z.T @ z / n for z in many], axis=0)
    np.testing.assert_allclose(covariance, np.eye(d), atol=0.3)
