"""Bounded features: what is small stays, what is large does not grow further."""

import torch

from equipot.irreps import Irreps
from equipot.network.bound import Bound
from tests.models import make_potential, model_input, random_atoms, random_rotation


def test_bounded_features_are_equal_when_small_and_bounded_when_large():
    irreps, c = Irreps("3x0e+2x1o+2x2e"), 3.0
    bound = Bound(irreps, c)
    x = torch.randn(5, irreps.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(bound(1e-6 * x), 1e-6 * x, rtol=1e-9, atol=0)
    assert not bound(torch.zeros_like(x)).any()
    for block in (slice(0, 3), slice(3, 9), slice(9, 19)):
        large = bound(1e6 * x)[:, block]
        torch.testing.assert_close(
            large.square().mean(1).sqrt(), torch.full((5,), c, dtype=torch.float64), rtol=1e-6, atol=0
        )
        expected = x[:, block] / (1 + x[:, block].square().mean(1, keepdim=True) / c**2).sqrt()
        torch.testing.assert_close(bound(x)[:, block], expected)


def test_a_bounded_network_does_not_depend_on_the_orientation():
    potential, atoms = make_potential(seed=2, l_max=2, features=[4, 3, 2], bound=1.0), random_atoms(6)
    turned, rotation = atoms.copy(), random_rotation(3)
    turned.positions, turned.cell = atoms.positions @ rotation.T, atoms.cell.array @ rotation.T
    a, b = (potential(model_input(potential, x))["energies"] for x in (atoms, turned))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
