"""The kernels for GPUs, run on the CPU, against the reference operator: the same text that NVRTC compiles.

What emulation cannot tell is said by tests/ops/test_cuda.py on a GPU, and whether NVRTC takes the text by
tests/ops/test_cuda_compile.py.
"""

import warnings

import pytest
import torch

import equipot.ops.gate
from equipot.irreps import Irreps
from equipot.network.derivatives import predict
from equipot.network.gate import Gate
from equipot.ops import engine
from equipot.ops.topology import by_reference
from tests.models import KINDS, make_potential, model_input, random_atoms
from tests.ops.test_engine import CASES, assert_equal, derivatives, problem
from tests.ops.test_node_operators import GATES

pytestmark = pytest.mark.usefixtures("emulated_gpu")

WIDE = ("300x0e+270x1o", "1x0e+1x1o", 1, False)  # more channels than the warps of a block
QUICK = [("first layer", 2), ("both parities", 3), ("last layer", 2)]


def cell_of(function):
    """The arguments that `problem` has put into the function it made."""
    return dict(zip(function.__code__.co_freevars, (cell.cell_contents for cell in function.__closure__)))


def both(compiled, arguments, dtype=torch.float64):
    """One call for the emulated GPU in `dtype`, and one for the CPU in double precision."""
    cell = cell_of(compiled)
    rest = (*cell["graph"], cell["rows"], cell["coupling"])

    def make(kernels, dtype):
        reals = [t.to(dtype) for t in (*arguments, cell["inverse"])]
        return kernels(*reals, rest, cell["doubled"])

    return make(engine.cuda.Convolution, dtype), make(engine.Convolution, torch.float64)


def everything(call, grad, ax, av):
    """Value, first and second derivatives of one call."""
    dtype = call.x.dtype
    grad, ax, av = (None if t is None else t.to(dtype) for t in (grad, ax, av))
    found = [
        call.forward(),
        *call.backward(grad, [True] * 3),
        *call.double_backward(grad, ax, av, [True] * 4),
    ]
    return [t.double() for t in found]


@pytest.mark.parametrize(
    ("case", "order"),
    [
        pytest.param(case, order, marks=() if (case, order) in QUICK else pytest.mark.exhaustive)
        for case in CASES
        for order in (2, 3)
    ],
)
def test_values_first_and_second_derivatives_are_those_of_the_reference(case, order):
    compiled, plain, arguments = problem(*CASES[case], order=order)
    assert_equal(derivatives(compiled, arguments), derivatives(plain, arguments))


@pytest.mark.exhaustive
def test_more_channels_than_a_block_has_lanes():
    compiled, plain, arguments = problem(*WIDE)
    assert_equal(derivatives(compiled, arguments), derivatives(plain, arguments))


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_edges": 0},
        {"n_edges": 0, "n_centres": 1, "n_atoms": 1},
        {"n_edges": 5, "n_centres": 1, "n_atoms": 1},
        {"n_edges": 0, "n_centres": 0, "n_atoms": 0},
        {"n_edges": 700, "n_centres": 1, "n_atoms": 2},  # many tiles of one atom
        {"n_edges": 2500, "n_centres": 80, "n_atoms": 90},  # rows of the table in several pieces
        {"n_edges": 30, "n_centres": 2, "n_atoms": 40},  # atoms without edges, ghost atoms
        {"cutoffs": 2},  # a cutoff per edge
        {"n_edges": 200, "doubled": 4},
        {"n_edges": 200, "doubled": 1},
    ],
)
def test_graphs_of_every_size_give_what_the_reference_gives(sizes):
    compiled, plain, arguments = problem("3x0e+2x1o", "3x0e+2x1o", 1, False, **sizes)
    assert_equal(derivatives(compiled, arguments), derivatives(plain, arguments))


@pytest.mark.parametrize("case", ["last layer", pytest.param("l = 3", marks=pytest.mark.exhaustive)])
def test_single_precision_differs_by_rounding_alone(case):
    compiled, _, arguments = problem(*CASES[case])
    single, exact = both(compiled, arguments, torch.float32)
    torch.manual_seed(1)
    grad, ax, av = (
        torch.randn(s, dtype=torch.float64) for s in ((4, single.dim_out), arguments[0].shape, (23, 3))
    )
    assert_equal(everything(single, grad, ax, av), everything(exact, grad, ax, av), 1e-5)


@pytest.mark.parametrize(
    "change",
    ["along the edges", "across the edges", "none", "tiny", "almost along the edges"],
)
def test_second_derivatives_for_edges_and_changes_along_an_axis(change):
    """Directions across an edge are chosen from the change of the edge, where it has a part across."""
    compiled, _, (x, vectors, table) = problem("3x0e+2x1o", "3x0e+2x1o", 1, False, n_edges=24)
    axes = torch.cat([torch.eye(3), -torch.eye(3)]).double().repeat(4, 1)
    vectors = torch.where(torch.arange(24)[:, None] < 18, axes * 1.3, vectors)
    av = {
        "along the edges": vectors * 0.7,
        "across the edges": torch.roll(vectors, 1, dims=1),
        "none": torch.zeros_like(vectors),
        "tiny": 1e-200 * torch.randn(24, 3, dtype=torch.float64),
        "almost along the edges": vectors + 1e-9 * torch.roll(vectors, 1, dims=1),
    }[change]
    gpu, cpu = both(compiled, (x, vectors, table))
    grad = torch.randn(4, gpu.dim_out, dtype=torch.float64)
    found, expected = (call.double_backward(grad, None, av, [True] * 4) for call in (gpu, cpu))
    assert_equal(found, expected)


@pytest.mark.parametrize("given", [(True, False), (False, True)])
@pytest.mark.parametrize("wanted", [[0], [1], [2], [3]])
def test_only_what_is_asked_for_is_written(wanted, given):
    compiled, _, arguments = problem("3x0e+2x1o", "3x0e+2x1o", 1, False)
    gpu, cpu = both(compiled, arguments)
    grad = torch.randn(4, gpu.dim_out, dtype=torch.float64)
    ax, av = (torch.randn_like(t) if g else None for t, g in zip(arguments[:2], given))
    ask = [k in wanted for k in range(4)]
    for found, expected in (
        (gpu.double_backward(grad, ax, av, ask), cpu.double_backward(grad, ax, av, ask)),
        (gpu.backward(grad, ask[1:]), cpu.backward(grad, ask[1:])),
    ):
        assert [t is None for t in found] == [t is None for t in expected]
        assert_equal([t for t in found if t is not None], [t for t in expected if t is not None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_have_the_same_bits_in_whatever_order_threads_run(dtype, monkeypatch):
    compiled, _, arguments = problem(*CASES["last layer"], n_edges=300, n_centres=5)
    gpu, _ = both(compiled, arguments, dtype)
    grad, ax, av = (torch.randn(s, dtype=dtype) for s in ((5, gpu.dim_out), arguments[0].shape, (300, 3)))
    forwards = everything(gpu, grad, ax, av)
    monkeypatch.setenv("EMULATION_ORDER", "reverse")
    assert all(torch.equal(a, b) for a, b in zip(forwards, everything(gpu, grad, ax, av)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("n_atoms", [6, 1])
def test_a_model_gives_the_forces_and_the_gradients_of_its_weights_that_it_gives_on_the_cpu(
    n_atoms, monkeypatch
):
    potential = make_potential(**KINDS["extras"])
    inputs = model_input(potential, random_atoms(n_atoms, pbc=n_atoms > 1))

    def everything():
        found = predict(potential, inputs, create_graph=True)
        loss = found.energy.square().sum() + found.forces.square().sum()
        gradients = torch.autograd.grad(loss, list(potential.parameters()), allow_unused=True)
        return [
            t.detach()
            for t in (found.energy, found.forces, *(torch.zeros(1) if g is None else g for g in gradients))
        ]

    on_gpu = everything()
    monkeypatch.setattr(engine, "convolution_of", lambda x: engine.Convolution)
    monkeypatch.setattr(engine, "gating_of", lambda x: engine.Gating)
    assert_equal(on_gpu, everything(), 1e-9)


@pytest.mark.parametrize("n", [5, 0, 300])
@pytest.mark.parametrize(("irreps", "parity"), GATES)
def test_the_gate_and_its_derivatives_are_those_of_torch(irreps, parity, n):
    gate = Gate(Irreps(irreps), parity)
    x = (3 * torch.randn(n, gate.irreps_in.dim, dtype=torch.float64)).requires_grad_()
    arguments = (gate.blocks, gate.dim_out, gate.silu_gain, gate.tanh_gain)
    found = []
    for function in (torch.ops.equipot.gate, equipot.ops.gate.by_reference):
        torch.manual_seed(1)
        out = function(x, *arguments)
        grad = torch.randn_like(out).requires_grad_()
        (first,) = torch.autograd.grad(out, x, grad, create_graph=True)
        second = torch.autograd.grad((first * torch.randn_like(first)).sum(), [grad, x])
        found.append([t.detach() for t in (out, first, *second)])
    assert_equal(*found)


@pytest.mark.parametrize(
    ("n_edges", "n_centres", "n_atoms"),
    [(0, 0, 0), (0, 3, 3), (40, 5, 9), (7, 1, 1), (300, 50, 50), (900, 2, 3), (2000, 700, 2100)],
)
def test_topology_is_that_of_torch_in_whatever_order_threads_run(n_edges, n_centres, n_atoms, monkeypatch):
    torch.manual_seed(0)
    centre = torch.sort(torch.randint(0, max(n_centres, 1), (n_edges,))).values
    edges = torch.stack([centre, torch.randint(0, max(n_atoms, 1), (n_edges,))])
    expected = by_reference(edges, n_centres, n_atoms)
    for order in ("forwards", "reverse"):
        monkeypatch.setenv("EMULATION_ORDER", order)
        for a, b in zip(engine.cuda.Sorting(edges, n_centres, n_atoms).topology(), expected, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([[1, 0], [0, 0]], "not sorted by centre"),
        ([[0, 2], [0, 0]], "centre outside"),
        ([[0, 1], [0, 2]], "neighbour outside"),
        ([[-1, 1], [0, 0]], "centre outside"),
        ([[0, 1], [-1, 0]], "neighbour outside"),
    ],
)
def test_a_wrong_graph_is_refused_with_a_sentence(edges, message):
    with pytest.raises(RuntimeError, match=message):
        engine.cuda.Sorting(torch.tensor(edges), 2, 2).topology()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"doubled": 6}, "expected an inner one, or 0"),
        ({"table": torch.zeros(1, 2, 3, dtype=torch.float64)}, "1 knots"),
        ({"rows": lambda rows: rows + 5}, "l = 5"),
        ({"rows": lambda rows: torch.cat([rows, rows])}, "coupling coefficients end"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_a_sentence(change, message):
    compiled, _, (x, vectors, table) = problem("3x0e", "3x0e", 0, False)
    cell = cell_of(compiled)
    rows = change.get("rows", lambda rows: rows)(cell["rows"])
    with pytest.raises(ValueError, match=message):
        engine.cuda.Convolution(
            x,
            vectors,
            change.get("table", table),
            cell["inverse"],
            (*cell["graph"], rows, cell["coupling"]),
            change.get("doubled", 0),
        ).forward()


def test_blocks_of_features_that_overlap_are_refused():
    compiled, _, (x, vectors, table) = problem("3x0e", "3x0e", 0, False)
    cell = cell_of(compiled)
    shifted = torch.tensor([[0, 0, 0, 2, 0, 0, 4, 0], [0, 0, 0, 2, 1, 2, 4, 1]])
    coupling = torch.ones(2, dtype=torch.float64)
    with pytest.raises(ValueError, match="blocks of the features that overlap"):
        engine.cuda.Convolution(
            x, vectors, table, cell["inverse"], (*cell["graph"], shifted, coupling)
        ).forward()


@pytest.mark.parametrize("key", ["CUDA", "AutogradCUDA"])
@pytest.mark.parametrize("name", ["convolve", "gate", "linear"])
def test_operators_on_a_gpu_are_not_left_to_the_reference(name, key):
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"equipot::{name}", key)


@pytest.mark.parametrize(
    ("gpu", "driver", "why"), [(1, "old", "loading a kernel failed"), (3, "new", "finding the GPU failed")]
)
def test_where_kernels_cannot_be_loaded_the_reference_serves_after_one_warning(gpu, driver, why, monkeypatch):
    engine.cuda.available.cache_clear()
    monkeypatch.setenv("EMULATION_DRIVER", driver)
    with pytest.warns(
        UserWarning, match=f"GPU {gpu} is used without compiled kernels, which is slow: CUDA: {why}.*NVRTC"
    ):
        assert not engine.cuda.available(gpu)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not engine.cuda.available(gpu)
        assert engine.cuda.available(0)


def test_a_copy_on_the_host_follows_changes_in_place(monkeypatch):
    """Buffers are copied from a GPU once, since a copy waits for it; but a state that is loaded changes them."""

    class OnGpu(torch.Tensor):
        is_cuda = True

    buffer = torch.tensor([1, 2]).as_subclass(OnGpu)
    first = engine.cuda.host_copy(buffer)
    assert engine.cuda.host_copy(buffer) is first
    copies = []
    monkeypatch.setattr(
        OnGpu, "cpu", lambda self: copies.append(1) or torch.Tensor(self).clone(), raising=False
    )
    buffer.copy_(torch.tensor([3, 4]))
    assert engine.cuda.host_copy(buffer).tolist() == [3, 4]
    assert engine.cuda.host_copy(buffer).tolist() == [3, 4]
    assert len(copies) == 1
