"""The operators on a GPU against the same on the CPU. What needs none is in test_cuda_emulated.py."""

import pytest
import torch

from equipot.irreps import Irreps
from equipot.network.gate import Gate
from equipot.ops import engine, topology
from tests.ops.test_cuda_emulated import cell_of
from tests.ops.test_engine import CASES, assert_equal, derivatives, problem
from tests.ops.test_node_operators import BLOCKS, DIM_IN, DIM_OUT, GATES, N_WEIGHTS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")


def on_gpu(compiled, dtype=torch.float64):
    """The same function of CPU tensors, computed on the GPU."""
    cell = cell_of(compiled)
    graph, rest = [t.cuda() for t in cell["graph"]], [cell[k].cuda() for k in ("rows", "coupling")]

    def function(*arguments):
        reals = [t.to(dtype).cuda() for t in (*arguments, cell["inverse"])]
        return torch.ops.equipot.convolve(*reals, *graph, *rest, cell["doubled"]).cpu().double()

    return function


def test_the_kernels_serve_on_this_gpu():
    assert engine.cuda.available(torch.cuda.current_device())


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("case", list(CASES))
def test_values_first_and_second_derivatives_are_those_of_the_cpu(case, order):
    compiled, _, arguments = problem(*CASES[case], order=order)
    assert_equal(derivatives(on_gpu(compiled), arguments), derivatives(compiled, arguments))


@pytest.mark.parametrize("case", ["natural", "l = 3"])
def test_single_precision_differs_by_rounding_alone(case):
    compiled, _, arguments = problem(*CASES[case])
    single, exact = (derivatives(f, arguments) for f in (on_gpu(compiled, torch.float32), compiled))
    assert_equal(single, exact, 1e-5)


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_edges": 0},
        {"n_edges": 0, "n_centres": 0, "n_atoms": 0},
        {"n_edges": 5, "n_centres": 1, "n_atoms": 1},
        {"n_edges": 20000, "n_centres": 700, "n_atoms": 900},
        {"cutoffs": 2},
        {"n_edges": 200, "doubled": 4},
    ],
)
def test_graphs_of_every_size_give_what_the_cpu_gives(sizes):
    compiled, _, arguments = problem("33x0e+16x1o", "1x0e+1x1o", 1, False, **sizes)
    assert_equal(derivatives(on_gpu(compiled), arguments), derivatives(compiled, arguments))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_have_the_same_bits_in_every_run(dtype):
    compiled, _, arguments = problem(*CASES["natural"], n_edges=9000, n_centres=400, n_atoms=500)
    function = on_gpu(compiled, dtype)
    first = derivatives(function, arguments)
    for _ in range(4):
        assert all(torch.equal(a, b) for a, b in zip(first, derivatives(function, arguments)))


@pytest.mark.parametrize("size", [(0, 0, 0), (40, 5, 9), (20000, 700, 900)])
def test_topology_is_that_of_the_cpu(size):
    n_edges, n_centres, n_atoms = size
    centre = torch.sort(torch.randint(0, max(n_centres, 1), (n_edges,))).values
    edges = torch.stack([centre, torch.randint(0, max(n_atoms, 1), (n_edges,))])
    for a, b in zip(topology(edges.cuda(), n_centres, n_atoms), topology(edges, n_centres, n_atoms)):
        assert torch.equal(a.cpu(), b)
    if n_edges > 0:
        with pytest.raises(RuntimeError, match="neighbour outside"):
            topology(edges.cuda(), n_centres, int(edges[1].max()))


@pytest.mark.parametrize(("irreps", "parity"), GATES)
def test_the_gate_and_its_derivatives_are_those_of_the_cpu(irreps, parity):
    gate = Gate(Irreps(irreps), parity)
    x = 3 * torch.randn(50, gate.irreps_in.dim, dtype=torch.float64)
    found = []
    for device in ("cuda", "cpu"):
        torch.manual_seed(1)
        there = x.to(device).requires_grad_()
        out = torch.ops.equipot.gate(
            there, gate.blocks.to(device), gate.dim_out, gate.silu_gain, gate.tanh_gain
        )
        grad = torch.randn(out.shape, dtype=out.dtype).to(device).requires_grad_()
        (first,) = torch.autograd.grad(out, there, grad, create_graph=True)
        change = torch.randn(first.shape, dtype=out.dtype).to(device)
        second = torch.autograd.grad((first * change).sum(), [grad, there])
        found.append([t.detach().cpu() for t in (out, first, *second)])
    assert_equal(*found)


@pytest.mark.parametrize("n_species", [1, 3])
def test_linear_maps_and_their_derivatives_are_those_of_the_cpu(n_species):
    torch.manual_seed(0)
    weight = torch.randn(n_species, N_WEIGHTS, dtype=torch.float64)
    x, species = torch.randn(50, DIM_IN, dtype=torch.float64), torch.randint(0, n_species, (50,))
    grad = torch.randn(50, DIM_OUT, dtype=torch.float64)
    found = []
    for device in ("cuda", "cpu"):
        leaves = [t.to(device).requires_grad_() for t in (x, weight)]
        out = torch.ops.equipot.linear(*leaves, species.to(device), BLOCKS.to(device), DIM_OUT)
        found.append([t.detach().cpu() for t in (out, *torch.autograd.grad(out, leaves, grad.to(device)))])
    assert_equal(*found)


def test_work_waits_for_the_stream_it_is_put_on():
    compiled, _, arguments = problem(*CASES["natural"], n_edges=9000, n_centres=400, n_atoms=500)
    function = on_gpu(compiled)
    expected = function(*arguments)
    with torch.cuda.stream(torch.cuda.Stream()):
        assert torch.equal(function(*arguments), expected)


def test_tensors_on_two_devices_are_refused():
    compiled, _, arguments = problem("3x0e", "3x0e", 0, False)
    cell = cell_of(compiled)
    reals = [t.cuda() for t in (*arguments, cell["inverse"])]
    with pytest.raises(ValueError, match="the tensors are on cpu, cuda:0; expected all on one device"):
        torch.ops.equipot.convolve(*reals, *cell["graph"], cell["rows"], cell["coupling"])
    # Told by x, but the others are looked at too.
    with pytest.raises(ValueError, match="the tensors are on cpu, cuda:0; expected all on one device"):
        torch.ops.equipot.convolve(reals[0].cpu(), *reals[1:], *cell["graph"], cell["rows"], cell["coupling"])


def test_weights_and_blocks_on_another_device_than_the_features_are_refused():
    x, weight = torch.randn(5, DIM_IN), torch.randn(1, N_WEIGHTS)
    species = torch.zeros(5, dtype=torch.int64)
    with pytest.raises(ValueError, match="expected all on cpu"):
        torch.ops.equipot.linear(x, weight.cuda(), species, BLOCKS, DIM_OUT)
    with pytest.raises(RuntimeError, match="device"):
        torch.ops.equipot.linear(x.cuda(), weight, species, BLOCKS, DIM_OUT)
    gate = Gate(Irreps(GATES[0][0]), GATES[0][1])
    with pytest.raises(ValueError, match="expected all on cpu"):
        torch.ops.equipot.gate(torch.randn(5, gate.irreps_in.dim), gate.blocks.cuda(), gate.dim_out, 1.0, 1.0)
