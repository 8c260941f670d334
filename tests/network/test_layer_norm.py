"""The layer norm: features of each atom divided by their root mean square over the irreps, and a weight per channel."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from equipot.irreps import Irreps
from equipot.network.layer_norm import LayerNorm
from tests.models import make_potential, model_input, random_atoms

IRREPS = Irreps("3x0e+2x0o+2x1o+0x1e+4x2e")


def random_norm(epsilon: float, irreps: Irreps = IRREPS) -> LayerNorm:
    norm = LayerNorm(irreps, epsilon)
    norm.weight.data = torch.randn(norm.weight.shape, dtype=torch.float64)
    return norm


def features(n: int = 5) -> torch.Tensor:
    return torch.randn(n, IRREPS.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("epsilon", [1e-12, 1.0])
def test_each_irrep_counts_the_same_in_the_mean_square_and_each_channel_has_a_weight(epsilon):
    norm, x = random_norm(epsilon), features()
    blocks = [
        (mul, ir.dim, x[:, place]) for (mul, ir), place in zip(IRREPS, IRREPS.slices(), strict=True) if mul
    ]
    square = sum(part.square().mean(1) for _, _, part in blocks) / len(blocks)
    weights = norm.weight.split([mul for mul, _, _ in blocks])
    expected = [part * w.repeat(dim) for (_, dim, part), w in zip(blocks, weights, strict=True)]
    expected = torch.cat(expected, dim=1) / (square + epsilon).sqrt()[:, None]
    torch.testing.assert_close(norm(x), expected, rtol=1e-13, atol=1e-13)


def test_the_size_of_the_features_does_not_matter_where_epsilon_is_small():
    norm, x = random_norm(1e-12), features()
    torch.testing.assert_close(norm(1e3 * x), norm(x), rtol=1e-11, atol=1e-11)


def test_features_of_zero_stay_zero_and_small_ones_keep_their_size_where_epsilon_is_one():
    norm, x = LayerNorm(IRREPS, 1.0), features()
    assert not norm(torch.zeros_like(x)).any()
    torch.testing.assert_close(norm(1e-6 * x), 1e-6 * x, rtol=1e-9, atol=0)


@pytest.mark.parametrize("epsilon", [1e-2, 1.0])
def test_first_and_second_derivatives_are_those_of_finite_differences(epsilon):
    norm, x = random_norm(epsilon), features(3).requires_grad_(True)
    arguments = (x, norm.weight)

    def function(x, weight):
        return torch.func.functional_call(norm, {"weight": weight}, (x,))

    assert gradcheck(function, arguments)
    assert gradgradcheck(function, arguments)


def test_a_network_has_the_norm_in_every_layer_before_the_gate():
    with_norm, without = (make_potential(seed=2, n_layers=3, layer_norm=norm) for norm in (True, False))
    assert all(layer.layer_norm is None for layer in without.layers)
    atoms = random_atoms(6)
    for layer in with_norm.layers:
        seen = []
        for part in (layer.layer_norm, layer.gate):
            part.register_forward_hook(lambda part, given, made, seen=seen: seen.append((given[0], made)))
        with_norm(model_input(with_norm, atoms))
        torch.testing.assert_close(seen[0][1], seen[1][0], rtol=0, atol=0)
        assert not torch.allclose(seen[0][0], seen[0][1])
