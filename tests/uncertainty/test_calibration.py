"""Curvature against its definition by autograd, and the scale of predicted errors against errors of known size."""

import numpy as np
import pytest
import torch

from equipot.data.graph import collate
from equipot.errors import DataError
from equipot.ops import topology
from equipot.uncertainty.calibration import calibrate
from equipot.uncertainty.curvature import LastLayer, curvature
from equipot.uncertainty.members import calibration_of, with_committee
from tests.models import make_potential, random_atoms
from tests.network.test_grade import graphs_of

WEIGHTS = (3.0, 0.7)


@pytest.fixture(scope="module")
def potential():
    return make_potential(seed=4, n_layers=2, readout_hidden=6)


@pytest.fixture(scope="module")
def graphs(potential):
    return graphs_of(potential, [random_atoms(5 + k % 4, seed=k) for k in range(30)])


@pytest.fixture(scope="module")
def layer(potential):
    return LastLayer(potential, "float64")


def features_and_jacobian(potential, graph):
    """Φ (d,) and J (3 n_atoms, d) by autograd through torch's operators."""
    inputs = collate([graph]).inputs
    moved = torch.zeros(graph.n_atoms, 3, dtype=torch.float64, requires_grad=True)
    index = inputs.edge_index
    vectors = inputs.edge_vectors + moved[index[1]] - moved[index[0]]
    inputs = inputs._replace(edge_vectors=vectors)
    features = potential.last_features(inputs, topology(index, graph.n_atoms, graph.n_atoms))
    total = (features * potential.scales[inputs.species][:, None]).sum(0)
    rows = [-torch.autograd.grad(value, moved, retain_graph=True)[0].flatten() for value in total]
    return total.detach().numpy(), torch.stack(rows, dim=1).numpy()


def exact(potential, graphs):
    energies = forces = 0
    for graph in graphs:
        phi, jacobian = features_and_jacobian(potential, graph)
        energies = energies + np.outer(phi, phi) / graph.n_atoms**2 / len(graphs)
        forces = forces + jacobian.T @ jacobian / sum(3 * g.n_atoms for g in graphs)
    return WEIGHTS[0] * energies + WEIGHTS[1] * forces


def test_the_jacobian_is_that_of_autograd(potential, layer, graphs):
    phi, jacobian = features_and_jacobian(potential, graphs[0])
    result = layer.jacobian(graphs[0])
    np.testing.assert_allclose(result.features, phi, rtol=1e-12)
    np.testing.assert_allclose(result.jacobian.reshape(jacobian.shape), jacobian, atol=1e-12)
    weight = potential.read.layers[-1].weight.detach().numpy()[0]
    np.testing.assert_allclose(result.forces.ravel(), jacobian @ weight, atol=1e-11)


def test_random_signs_give_the_curvature_on_average(potential, layer, graphs):
    five = graphs[:5]
    expected = exact(potential, five)
    found = np.mean([curvature(layer, five, WEIGHTS, probes=4, seed=k).matrix for k in range(200)], axis=0)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_the_scale_is_that_of_known_errors(layer, graphs):
    """Labels whose errors come from last weights of a known distribution."""
    known = curvature(layer, graphs, WEIGHTS)
    rng, root = np.random.default_rng(0), np.linalg.inv(np.linalg.cholesky(known.matrix)).T
    for graph in graphs:
        result = layer.jacobian(graph)
        delta = 0.02 * root @ rng.standard_normal(layer.width)
        graph.labels["forces"] = torch.from_numpy(result.forces + result.jacobian @ delta)
        graph.labels["energy"] = torch.tensor(result.energy + 3 * result.features @ delta)
    calibration = calibrate(layer, known.matrix, graphs)
    assert calibration.frames == len(graphs)
    assert calibration.forces == pytest.approx(0.02, rel=0.15)
    assert calibration.energy == pytest.approx(0.06, rel=0.3)
    assert calibrate(layer, known.matrix, graphs, seconds=0.0).frames == 3


def test_members_spread_as_the_curvature_says(potential, layer, graphs):
    known, calibration = calibration_of(potential, graphs, graphs, WEIGHTS)
    fit = with_committee(potential, known, calibration, n_members=400)
    deltas, factor = fit.potential.members.deltas.numpy(), fit.potential.members.factor.numpy()
    inverse = np.linalg.inv(calibration.with_ridge(known.matrix))
    spread = deltas.T @ deltas / 400
    eigenvalues = np.linalg.eigvals(np.linalg.solve(calibration.forces**2 * inverse, spread)).real
    assert 0.6 < eigenvalues.min() < eigenvalues.max() < 1.5
    np.testing.assert_allclose(factor.T @ factor, calibration.energy**2 * inverse, rtol=1e-6)
    assert fit.summary()["members"] == 400


def test_what_cannot_be_fitted_is_a_sentence(potential, layer, graphs):
    single = graphs_of(potential, [random_atoms(1, seed=1)])
    with pytest.raises(DataError, match="force components are too few"):
        curvature(layer, single, WEIGHTS)
    with pytest.raises(DataError, match="no held-out frame has forces"):
        calibrate(layer, np.eye(layer.width), graphs_of(potential, [random_atoms(5)]))
    graph = graphs_of(potential, [random_atoms(5)])[0]
    graph.labels["forces"] = torch.from_numpy(layer.jacobian(graph).forces)
    with pytest.raises(DataError, match="force errors of the held-out frames are zero"):
        calibrate(layer, np.eye(layer.width), [graph])
