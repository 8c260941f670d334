"""The runtime gives torch's numbers for every kind of network, and its moments are those of their definition."""

from typing import get_args

import numpy as np
import pytest
import torch
from ase import Atoms

from equipot.network.derivatives import predict
from equipot.network.kinds import Activation
from equipot.network.variants import with_core_radii
from equipot.runtime import RuntimeModel
from tests.models import KINDS, OURS, make_potential, model_input, random_atoms

NEQUIX = {
    "l_max": 3,
    "features": [4, 3, 2, 2],
    "n_layers": 3,
    "spec": {"self_connections": ["linear"] * 3, "layer_norm": 1e-12},
}
MODELS = {**KINDS, "ours": OURS, "nequix": NEQUIX}
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def both(potential, atoms, threads=1):
    """The prediction of torch, and that of the runtime."""
    inputs = model_input(potential, atoms)
    model = RuntimeModel.from_program(potential.program())
    here = model.evaluate(*(t.numpy() for t in inputs[:3]), threads=threads)
    return predict(potential, inputs), here


def assert_equal(a, b, tolerance):
    scale = max(1.0, np.abs(a).max(initial=0.0))
    np.testing.assert_allclose(b / scale, a / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("kind", list(MODELS))
def test_energies_and_gradients_are_those_of_torch(kind, dtype):
    potential = make_potential(seed=2, **{**MODELS[kind], "dtype": dtype})
    expected, result = both(potential, random_atoms(9, seed=3))
    assert_equal(expected.atomic_energies.numpy(), result.energies, TOLERANCE[dtype])
    assert_equal(expected.edge_gradient.numpy(), result.edge_gradient, TOLERANCE[dtype])


@pytest.mark.parametrize("distance", [0.3, 0.9, 1.25, 1.6])
def test_the_core_is_that_of_torch(distance):
    radii = [[1.4, 1.3], [1.3, 1.7]]
    potential = with_core_radii(make_potential(seed=2, **OURS), radii)
    atoms = Atoms("SiOSi", [[0, 0, 0], [0, 0.1, distance], [1.9, 0.4, 0.2]])
    expected, result = both(potential, atoms)
    assert_equal(expected.atomic_energies.numpy(), result.energies, 1e-12)
    assert_equal(expected.edge_gradient.numpy(), result.edge_gradient, 1e-12)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_every_activation_of_the_readout_is_that_of_torch(activation):
    potential = make_potential(spec={"readout_hidden": [5, 4], "readout_activation": activation})
    expected, result = both(potential, random_atoms(6))
    assert_equal(expected.atomic_energies.numpy(), result.energies, 1e-12)
    assert_equal(expected.edge_gradient.numpy(), result.edge_gradient, 1e-12)


@pytest.mark.parametrize("kind", ["ours", "foreign", "nequix"])
def test_moments_are_gradients_of_energies_times_positions(kind):
    potential = make_potential(seed=4, **MODELS[kind])
    atoms = random_atoms(6, pbc=False)
    inputs = model_input(potential, atoms)
    model = RuntimeModel.from_program(potential.program())
    result = model.evaluate(*(t.numpy() for t in inputs[:3]), positions=atoms.positions)
    edges = inputs.edge_vectors.clone().requires_grad_(True)
    energies = potential(inputs._replace(edge_vectors=edges))["energies"]
    neighbour = inputs.positions[inputs.edge_index[1]]
    for a in range(3):
        (weighted,) = torch.autograd.grad(energies @ inputs.positions[:, a], edges, retain_graph=True)
        expected = weighted - neighbour[:, a, None] * torch.from_numpy(result.edge_gradient)
        assert_equal(expected.numpy(), result.edge_moments[a], 1e-12)
    (gradient,) = torch.autograd.grad(energies.sum(), edges)
    assert_equal(gradient.numpy(), result.edge_gradient, 1e-12)


def test_the_number_of_threads_changes_no_bit():
    potential = make_potential(seed=2, **{**OURS, "features": [32, 16, 8], "dtype": "float32"})
    atoms = random_atoms(8).repeat((4, 4, 3))
    one, two = (both(potential, atoms, threads)[1] for threads in (1, 3))
    np.testing.assert_array_equal(one.energies, two.energies)
    np.testing.assert_array_equal(one.edge_gradient, two.edge_gradient)


def test_a_model_serves_several_sizes_one_after_the_other():
    potential = make_potential(seed=2, **OURS)
    model = RuntimeModel.from_program(potential.program())
    for n in (7, 2, 12, 1, 7):
        inputs = model_input(potential, random_atoms(n, seed=n))
        result = model.evaluate(*(t.numpy() for t in inputs[:3]))
        assert_equal(predict(potential, inputs).atomic_energies.numpy(), result.energies, 1e-12)


def test_no_atoms_and_atoms_without_neighbours_are_structures():
    potential = make_potential(**OURS)
    for atoms in (Atoms(), Atoms("O"), Atoms("SiO", [[0, 0, 0], [0, 0, 9.0]])):
        expected, result = both(potential, atoms)
        np.testing.assert_allclose(result.energies, expected.atomic_energies.numpy(), atol=1e-12)
        assert result.edge_gradient.shape == (0, 3)
