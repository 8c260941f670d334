"""Layers on their own: bases and radial tables against derivatives, linear maps against e3nn, ZBL against a formula."""

import numpy as np
import pytest
import torch

from equipot.irreps import Irreps
from equipot.network.basis import (
    bessel,
    distance_powers,
    harmonic_frequencies,
    knots,
    polynomial_envelope,
    radial_basis,
    stretched,
    xplor_envelope,
)
from equipot.network.linear import IrrepsLinear, SelfConnection
from equipot.network.norms import InvariantNorms
from equipot.network.radial import RadialNetwork
from equipot.network.zbl import ZBL
from equipot.ops import topology
from tests.models import make_potential

FUNCTIONS = {
    "bessel": lambda u: bessel(u, harmonic_frequencies(8)),
    "polynomial": lambda u: polynomial_envelope(u, 6),
    "stretched": lambda u: stretched(u, 3.0),
    "stretched Bessel functions": lambda u: radial_basis(
        np.append(u, 1), [2.0, 9.0], "polynomial", 6, 0.8, 3.0
    )[:, :-1],
    "xplor": lambda u: xplor_envelope(u, 0.8),
}


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_derivatives_of_the_basis_are_those_of_finite_differences(name):
    function = FUNCTIONS[name]
    u = np.array([1e-7, 3e-4, 3.9e-4, 1e-3, 0.1, 0.45, 0.79, 0.83, 0.99])
    h = 1e-6
    low, high, here = function(np.abs(u - h)), function(u + h), function(u)
    for order in (1, 2):
        numeric = (high[order - 1] - low[order - 1]) / (2 * h)
        # At u < h the left point was mirrored: value even, first derivative odd.
        inner = u > h
        scale = max(1.0, np.abs(here[order]).max())
        np.testing.assert_allclose(here[order][inner] / scale, numeric[inner] / scale, atol=1e-6)


def test_the_envelope_is_one_at_zero_and_flat_zero_at_the_cutoff():
    for e in (polynomial_envelope(np.array([0.0, 1.0]), 6), xplor_envelope(np.array([0.0, 1.0]), 0.8)):
        np.testing.assert_allclose(e[0], [1, 0], atol=1e-12)
        np.testing.assert_allclose(e[1], [0, 0], atol=1e-12)


@pytest.mark.parametrize("orders", [None, [0, 1, 2, 3, 1]])
@pytest.mark.parametrize("activation", ["silu", "ssp", "tanh"])
def test_the_radial_table_holds_the_slopes_and_curvatures_of_its_network(activation, orders):
    torch.manual_seed(0)
    n_knots = 4001
    factor = None if orders is None else distance_powers(knots(n_knots), 4.5, orders)
    basis = radial_basis(knots(n_knots), harmonic_frequencies(4), "polynomial", 6, 0.8)
    table = (
        RadialNetwork(basis, [16, 16], [slice(0, 5)], 3, activation=activation, factor=factor)()
        .detach()
        .numpy()
    )
    h = 1 / (n_knots - 1)
    for order in (1, 2):
        numeric = (table[2:, order - 1] - table[:-2, order - 1]) / (2 * h)
        scale = np.abs(table[:, order]).max()
        np.testing.assert_allclose(table[1:-1, order] / scale, numeric / scale, atol=1e-4)
    assert np.abs(table[-1, :2]).max() == 0


def test_the_cost_of_the_radial_network_does_not_grow_with_edges():
    basis = radial_basis(knots(128), harmonic_frequencies(8), "polynomial", 6, 0.8)
    assert RadialNetwork(basis, [8], [slice(0, 3)], order=2)().shape == (128, 2, 3)


def test_the_self_connection_uses_the_matrix_of_each_atoms_species():
    irreps_in, irreps_out = Irreps("3x0e+2x1o"), Irreps("4x0e+2x1o+1x1e")
    layer = SelfConnection(irreps_in, irreps_out, 3)
    species = torch.tensor([2, 0, 2, 2, 0])  # none of species 1
    x = torch.randn(5, irreps_in.dim, dtype=torch.float64)
    out = layer(x, species)
    for i, s in enumerate(species.tolist()):
        matrices = layer.weight[s].split([3 * 4, 2 * 2])
        scalars = x[i, :3] @ matrices[0].view(3, 4)
        vectors = x[i, 3:].view(3, 2) @ matrices[1].view(2, 2)
        torch.testing.assert_close(out[i], torch.cat([scalars, vectors.flatten(), torch.zeros(3).double()]))


def test_a_linear_map_to_an_irrep_the_input_lacks_is_refused_when_built():
    with pytest.raises(ValueError, match="cannot give 1o"):
        IrrepsLinear(Irreps("3x0e"), Irreps("3x0e+1x1o"))


@pytest.mark.parametrize("irreps", ["3x0e+2x1o+1x2e", "2x0o+3x0e+2x1o+0x2o+1x1e"])
def test_even_scalars_gain_what_the_lengths_of_vectors_and_tensors_say(irreps):
    irreps = Irreps(irreps)
    layer = InvariantNorms(irreps)
    x = torch.randn(4, irreps.dim, dtype=torch.float64)
    expected = x.clone()
    scalars = next(place for (_, ir), place in zip(irreps, irreps.slices()) if str(ir) == "0e")
    row = 0
    for (mul, ir), place in zip(irreps, irreps.slices()):
        for channel in range(mul if ir.l > 0 else 0):
            length = torch.linalg.vector_norm(x[:, place][:, channel::mul], dim=1)
            expected[:, scalars] += ((1 + length**2 / ir.dim).sqrt() - 1)[:, None] * layer.weight[row]
            row += 1
    assert row == len(layer.weight)
    torch.testing.assert_close(layer(x), expected)


def run(layer, x, species, vectors, inverse_cutoff, graph):
    """A layer on a graph without ghosts."""
    return layer.interact(x, layer.outgoing(x), species, vectors, inverse_cutoff, graph)


@pytest.mark.parametrize("irreps", ["4x0e+3x1o+2x2e", "4x0e"])
def test_norms_enter_before_the_gate_of_every_layer_that_has_vectors(irreps):
    potential = make_potential(seed=2, irreps=irreps, n_layers=3, norms=True)
    has = [layer.norms is not None for layer in potential.layers]
    assert has == ([True, True, False] if "1o" in irreps else [False, False, False])
    for layer in potential.layers if any(has) else []:
        seen = []
        for part in (layer.norms, layer.gate):
            if part is not None:
                part.register_forward_hook(lambda part, given, made, seen=seen: seen.append((given[0], made)))
        x = torch.randn(2, layer.irreps_in.dim, dtype=torch.float64)
        graph = topology(torch.tensor([[0, 1], [1, 0]]), 2, 2)
        vectors = torch.tensor([[0.9, 1.1, 0.4], [-0.9, -1.1, -0.4]], dtype=torch.float64)
        run(layer, x, torch.tensor([0, 1]), vectors, torch.full((1,), 0.2, dtype=torch.float64), graph)
        if layer.norms is not None:
            torch.testing.assert_close(seen[0][1], seen[1][0])
            assert not torch.allclose(seen[0][0], seen[0][1])


def test_zbl_is_the_published_formula_inside_and_zero_outside():
    zbl = ZBL(["Si"], torch.full((1, 1), 5.0, dtype=torch.float64))
    r = 0.7
    a = 0.46850 / (2 * 14**0.23)
    x = r / a
    phi = (
        0.18175 * np.exp(-3.1998 * x)
        + 0.50986 * np.exp(-0.94229 * x)
        + 0.28022 * np.exp(-0.4029 * x)
        + 0.02817 * np.exp(-0.20162 * x)
    )
    fade_at = 2 * 1.11  # covalent radius of silicon in ase.data
    u = r / fade_at
    expected = 14.3996454 * 14 * 14 / r * phi * (1 - 28 * u**6 + 48 * u**7 - 21 * u**8)
    edges = torch.tensor([[0, 1], [1, 0]])
    species = torch.zeros(2, dtype=torch.int64)

    def energy(distance: float) -> float:
        vectors = torch.tensor([[distance, 0, 0], [-distance, 0, 0]], dtype=torch.float64)
        return float(zbl(species, vectors, topology(edges, 2, 2)).sum())

    assert energy(r) == pytest.approx(expected, rel=1e-9)
    assert energy(fade_at + 1e-6) == 0


def test_an_interaction_hands_every_centre_its_own_species():
    """Exchanging the matrices of two species is the same as exchanging the species themselves."""
    potential = make_potential(seed=2)
    layer = potential.layers[1]
    x = torch.randn(2, layer.irreps_in.dim, dtype=torch.float64)
    none = topology(torch.zeros(2, 0, dtype=torch.int64), 2, 2)
    vectors, inverse = torch.zeros(0, 3, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    straight = run(layer, x, torch.tensor([0, 1]), vectors, inverse, none)
    exchanged = run(layer, x, torch.tensor([1, 0]), vectors, inverse, none)
    assert not torch.allclose(straight, exchanged)
    weight = layer.self_connection.weight
    weight.data = weight.data.flip(0)
    torch.testing.assert_close(run(layer, x, torch.tensor([1, 0]), vectors, inverse, none), straight)


@pytest.mark.parametrize("irreps", ["4x0e+3x1o+2x2e", "4x0e+3x0o+3x1o+2x1e+2x2e"])
def test_a_residual_layer_adds_the_features_that_enter_irrep_by_irrep(irreps):
    """The last layer puts out scalars only; with both parities the second has irreps that the first cannot reach."""
    graph = topology(torch.tensor([[0, 1], [1, 0]]), 2, 2)
    vectors = torch.tensor([[0.9, 1.1, 0.4], [-0.9, -1.1, -0.4]], dtype=torch.float64)
    species, inverse = torch.tensor([0, 1]), torch.full((1,), 0.2, dtype=torch.float64)
    plain, residual = (make_potential(seed=2, irreps=irreps, n_layers=4, residual=r) for r in (False, True))
    for k, (a, b) in enumerate(zip(plain.layers, residual.layers)):
        x = torch.randn(2, a.irreps_in.dim, dtype=torch.float64)
        before, after = (run(layer, x, species, vectors, inverse, graph) for layer in (a, b))
        added = after - before
        entered = {ir: (mul, x[:, place]) for (mul, ir), place in zip(a.irreps_in, a.irreps_in.slices())}
        for (mul, ir), place in zip(a.irreps_out, a.irreps_out.slices()):
            expected = torch.zeros_like(added[:, place])
            if k > 0 and ir in entered:
                assert entered[ir][0] == mul
                expected = entered[ir][1]
            torch.testing.assert_close(added[:, place], expected)


def test_the_onset_of_xplor_has_the_derivatives_of_both_sides():
    n = 11
    basis = radial_basis(knots(n, 9), harmonic_frequencies(3), "xplor", 6, 0.9)
    inside = radial_basis(np.array([0.9 - 1e-9]), harmonic_frequencies(3), "xplor", 6, 0.9)
    outside = radial_basis(np.array([0.9 + 1e-9]), harmonic_frequencies(3), "xplor", 6, 0.9)
    assert basis.shape[1] == n + 1
    # `radial_basis` sets what it is given last to zero, as that is the cutoff: compare curvatures there.
    np.testing.assert_allclose(basis[2, 9], inside[2, 0], rtol=1e-5)
    np.testing.assert_allclose(basis[2, 10], outside[2, 0], rtol=1e-5)
    assert np.abs(inside[2] - outside[2]).max() > 1
