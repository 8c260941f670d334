"""Matrices taken out of e3nn's flat weights against what e3nn's own modules compute with them."""

import pytest
import torch
from e3nn.nn import FullyConnectedNet
from e3nn.o3 import FullyConnectedTensorProduct, Irreps, Linear
from torch import Tensor

from equipot.convert import e3nn_weights
from equipot.convert.e3nn_weights import Matrices
from equipot.errors import ModelFileError
from equipot.network.activation import activation_gain, apply

# In and out: one block each, several irreps, blocks apart that belong together, irreps on one side only.
PAIRS = [
    ("7x0e", "5x0e"),
    ("6x0e+4x1o+2x2e", "3x0e+5x1o+3x2e"),
    ("3x0e+2x1e+4x0e", "2x0e+3x1e+5x0e+1x1e"),
    ("5x0e+3x0o+2x1o", "4x0e+2x0e+2x1o"),
    ("5x0e+2x1o", "4x0e+3x0o+2x2e"),
    ("2x1e+3x0e", "4x0e+2x1e"),
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


def _blocks(x: Tensor, irreps: Irreps) -> dict[object, Tensor]:
    """By irrep (n, 2l+1, mul), blocks of the same irrep joined in order."""
    found: dict[object, list[Tensor]] = {}
    for block, (mul, ir) in zip(irreps.slices(), irreps):
        found.setdefault(ir, []).append(x[:, block].reshape(len(x), mul, ir.dim).transpose(1, 2))
    return {ir: torch.cat(parts, dim=2) for ir, parts in found.items()}


def _applied(matrices: Matrices, x: Tensor, irreps_in: Irreps, irreps_out: Irreps) -> dict[object, Tensor]:
    """What the matrices make of features; zero where no irrep of the same kind comes in."""
    inputs = _blocks(x, irreps_in)
    zeros = _blocks(x.new_zeros(len(x), irreps_out.dim), irreps_out)
    return {ir: inputs[ir] @ matrices[ir] if ir in matrices else zeros[ir] for ir in zeros}


@pytest.mark.parametrize(("irreps_in", "irreps_out"), PAIRS)
def test_linear_maps_are_those_of_e3nn(irreps_in: str, irreps_out: str) -> None:
    a, b = Irreps(irreps_in), Irreps(irreps_out)
    module = Linear(a, b).double()
    x = torch.randn(4, a.dim, dtype=torch.float64)
    expected = _blocks(module(x), b)
    found = _applied(e3nn_weights.linear(a, b, module.weight.detach()), x, a, b)
    for ir, values in expected.items():
        torch.testing.assert_close(found[ir], values, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("n_species", [1, 3])
@pytest.mark.parametrize(("irreps_in", "irreps_out"), PAIRS)
def test_products_with_one_hot_species_are_those_of_e3nn(
    irreps_in: str, irreps_out: str, n_species: int
) -> None:
    a, b = Irreps(irreps_in), Irreps(irreps_out)
    module = FullyConnectedTensorProduct(a, Irreps(f"{n_species}x0e"), b).double()
    x = torch.randn(5, a.dim, dtype=torch.float64)
    stacks = e3nn_weights.by_species(a, b, module.weight.detach(), n_species)
    for s in range(n_species):
        onehot = torch.zeros(5, n_species, dtype=torch.float64)
        onehot[:, s] = 1
        expected = _blocks(module(x, onehot), b)
        found = _applied({ir: stack[s] for ir, stack in stacks.items()}, x, a, b)
        for ir, values in expected.items():
            torch.testing.assert_close(found[ir], values, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", [None, "silu", "ssp", "tanh"])
@pytest.mark.parametrize("widths", [[6, 4], [8, 16, 3], [8, 5, 12, 7, 2]])
def test_perceptrons_are_those_of_e3nn(widths: list[int], name: str | None) -> None:
    def bare(x: Tensor) -> Tensor:
        return x if name is None else apply(name, x)

    module = FullyConnectedNet(widths, None if name is None else bare).double()
    x = torch.randn(4, widths[0], dtype=torch.float64)
    matrices = e3nn_weights.perceptron([layer.weight.detach() for layer in module])
    found = x
    for matrix in matrices[:-1]:
        found = bare(found @ matrix) * (1.0 if name is None else activation_gain(name))
    torch.testing.assert_close(found @ matrices[-1], module(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("change", [-1, 1])
def test_another_number_of_weights_is_refused_with_both_numbers(change: int) -> None:
    a, b = Irreps("6x0e+4x1o"), Irreps("3x0e+5x1o")
    count = 6 * 3 + 4 * 5
    with pytest.raises(ModelFileError, match=f"has {count + change} weights; expected {count}"):
        e3nn_weights.linear(a, b, torch.zeros(count + change))


def test_maps_without_a_common_irrep_have_no_matrices_and_no_weights() -> None:
    assert e3nn_weights.linear(Irreps("4x0e"), Irreps("3x1o"), torch.zeros(0)) == {}
    with pytest.raises(ModelFileError, match="has 1 weights; expected 0"):
        e3nn_weights.linear(Irreps("4x0e"), Irreps("3x1o"), torch.zeros(1))
