"""equipot::linear and equipot::gate, compiled, against plain torch."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import equipot.ops.gate
import equipot.ops.linear
from equipot.irreps import Irreps
from equipot.network.gate import Gate
from equipot.ops import engine

pytestmark = pytest.mark.skipif(
    not engine.available(), reason="the compiled kernels are off or not installed"
)

# x_start, number of m, mul_in, out_start, mul_out, weight_start: mul around vector widths, a gap in out
BLOCKS = torch.tensor([[0, 1, 20, 3, 17, 0], [20, 3, 33, 40, 5, 340], [119, 5, 12, 20, 4, 505]])
N_WEIGHTS, DIM_IN, DIM_OUT = 553, 179, 60
GATES = [("7x0e+3x0o+5x1o+2x2e", 1), ("40x0e+33x1o", 1), ("4x0o+3x1e", -1), ("9x0e", 1)]


@pytest.mark.parametrize(("n", "n_species"), [(7, 1), (50, 3), (0, 2), (1, 1), (3, 5)])
def test_linear_maps_and_their_derivatives_are_those_of_torch(n, n_species):
    torch.manual_seed(0)
    weight = torch.randn(n_species, N_WEIGHTS, dtype=torch.float64, requires_grad=True)
    x = torch.randn(n, DIM_IN, dtype=torch.float64, requires_grad=True)
    species = torch.randint(0, n_species, (n,))
    out = torch.ops.equipot.linear(x, weight, species, BLOCKS, DIM_OUT)
    expected = equipot.ops.linear.by_reference(x, weight, species, BLOCKS, DIM_OUT)
    torch.testing.assert_close(out, expected)
    grad = torch.randn_like(out)
    for a, b in zip(*(torch.autograd.grad(o, [x, weight], grad) for o in (out, expected))):
        torch.testing.assert_close(a, b)


def test_derivatives_of_linear_maps_of_any_order_are_those_of_finite_differences():
    blocks = torch.tensor([[0, 1, 3, 0, 2, 0], [3, 3, 2, 3, 2, 6]])
    species = torch.tensor([0, 1, 1, 0])
    weight = torch.randn(2, 10, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 9, dtype=torch.float64, requires_grad=True)

    def function(x, weight):
        return torch.ops.equipot.linear(x, weight, species, blocks, 9)

    assert gradcheck(function, (x, weight))
    assert gradgradcheck(function, (x, weight))


@pytest.mark.parametrize("n", [5, 0, 1])
@pytest.mark.parametrize(("irreps", "parity"), GATES)
def test_the_gate_and_its_derivatives_are_those_of_torch(irreps, parity, n):
    torch.manual_seed(0)
    gate = Gate(Irreps(irreps), parity)
    x = (3 * torch.randn(n, gate.irreps_in.dim, dtype=torch.float64)).requires_grad_()
    arguments = (gate.blocks, gate.dim_out, gate.silu_gain, gate.tanh_gain)
    found = []
    for function in (torch.ops.equipot.gate, equipot.ops.gate.by_reference):
        torch.manual_seed(1)
        out = function(x, *arguments)
        grad = torch.randn_like(out).requires_grad_()
        (dx,) = torch.autograd.grad(out, x, grad, create_graph=True)
        second = torch.autograd.grad(dx, [grad, x], torch.randn_like(dx))
        found.append([out, dx, *second])
    for a, b in zip(*found):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("dtype", "accuracy"), [(torch.float32, 4e-7), (torch.float64, 2e-15)])
def test_activations_are_accurate_over_the_whole_range(dtype, accuracy):
    x = torch.cat([torch.linspace(-1000, 1000, 4001), torch.linspace(-3, 3, 4001)]).to(dtype)[:, None]
    for even, exact in ((1, torch.nn.functional.silu), (0, torch.tanh)):
        blocks = torch.tensor([[0, 1, 1, 0, -1, even]])
        found = torch.ops.equipot.gate(x, blocks, 1, 1.0, 1.0)
        expected = exact(x.double())
        error = (found.double() - expected).abs() / expected.abs().clamp(min=1.0)
        assert float(error.max()) < accuracy


def test_rows_have_the_same_bits_for_any_number_of_threads():
    torch.manual_seed(0)
    weight = torch.randn(3, N_WEIGHTS, requires_grad=True)
    x = torch.randn(1000, DIM_IN, requires_grad=True)
    species = torch.randint(0, 3, (1000,))
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            out = torch.ops.equipot.linear(x, weight, species, BLOCKS, DIM_OUT)
            results.append([out, *torch.autograd.grad(out.square().sum(), [x, weight])])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linear(x=torch.zeros(2, 5)), "beyond the columns of the input"),
        (lambda: linear(dim_out=50), "beyond the columns of the output"),
        (lambda: linear(weight=torch.zeros(1, 500)), "beyond the weights"),
        (lambda: linear(weight=torch.zeros(2, N_WEIGHTS)), "species are"),
        (
            lambda: linear(weight=torch.zeros(2, N_WEIGHTS), species=torch.tensor([0, 2])),
            "species without weights",
        ),
        (lambda: linear(x=torch.zeros(2, DIM_IN).half()), "float32 or float64"),
        (lambda: gate(torch.zeros(2, 4)), "beyond the columns"),
        (lambda: gate(torch.zeros(2, 7)), "belongs to no block"),
        (lambda: gate(torch.zeros(2, 5).half()), "float32 or float64"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def linear(x=None, weight=None, species=None, dim_out=DIM_OUT):
    x = torch.zeros(2, DIM_IN) if x is None else x
    weight = torch.zeros(1, N_WEIGHTS) if weight is None else weight
    species = torch.zeros(0, dtype=torch.int64) if species is None else species
    return torch.ops.equipot.linear(x, weight, species, BLOCKS, dim_out)


def gate(x):
    return torch.ops.equipot.gate(x, torch.tensor([[2, 3, 1, 0, 1, 1]]), 3, 1.0, 1.0)


@pytest.mark.parametrize("which", ["x", "weight", "species", "blocks"])
def test_tensors_of_another_device_are_refused_before_their_memory_is_read(which):
    """The device meta stands for any other than the CPU."""
    there = {"x": torch.zeros(2, DIM_IN), "weight": torch.zeros(2, N_WEIGHTS)}
    there |= {"species": torch.tensor([0, 1]), "blocks": BLOCKS}
    there[which] = there[which].to("meta")
    with pytest.raises(ValueError, match=r"the tensors are on .*meta; expected all on cpu"):
        engine.LinearMap(
            torch.float32, 2, (DIM_IN, DIM_OUT), (2, N_WEIGHTS), there["species"], there["blocks"]
        ).apply(there["x"], there["weight"], False)


def test_a_gate_on_another_device_than_its_features_is_refused_before_its_memory_is_read():
    gate = Gate(Irreps("7x0e+5x1o"))
    x = torch.zeros(3, gate.irreps_in.dim)
    with pytest.raises(ValueError, match="the tensors are on meta; expected all on cpu"):
        engine.Gating(x, gate.blocks.to("meta"), gate.dim_out, 1.0, 1.0)
    with pytest.raises(ValueError, match="the tensors are on cpu, meta; expected all on one device"):
        engine.Gating(x, gate.blocks, gate.dim_out, 1.0, 1.0).backward(
            torch.zeros(3, gate.dim_out, device="meta")
        )
