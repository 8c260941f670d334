"""The compiled convolution against the reference operator, which tests/ops/test_reference.py compares with e3nn."""

import os
import subprocess
import sys
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from equipot import native
from equipot.irreps import Irreps
from equipot.neighbours.verlet import near as plain_near
from equipot.network.derivatives import forces_from, virials_from
from equipot.ops import ConvolutionPaths, ReferenceConvolution, engine, topology
from equipot.ops.topology import by_reference

pytestmark = pytest.mark.skipif(
    not engine.available(), reason="the compiled kernels are off or not installed"
)

# (input, wanted, l_max, even): channels around the widths of vectors, both parities, SO(3)-style, up to l = 4
CASES = {
    "first layer": ("32x0e", "4x0e+2x1o+1x2e", 2, False),
    "natural": ("33x0e+16x1o+8x2e", "3x0e+1x1o+1x2e", 2, False),
    "last layer": ("17x0e+40x1o+3x2e", "1x0e", 2, False),
    "both parities": ("2x0e+1x0o+2x1o+3x1e", "2x0e+1x0o+2x1o+3x1e+1x2o", 2, False),
    "even": ("20x0e+3x1e+33x2e", "1x0e+1x1e+1x2e", 2, True),
    "l = 3": ("31x0e+64x1o+1x2e+32x3o", "1x0e+1x1o+1x2e+1x3o", 3, False),
    "l = 4": ("2x0e+3x1e+2x2e+2x3e+5x4e", "1x0e+1x1e+1x2e+1x3e+1x4e", 4, True),
    "odd channels": ("24x0e+7x1o+1x2e+17x3o", "1x0e+1x1o+1x2e+1x3o", 3, False),
    "a block nothing reaches": ("2x0e+3x4e+1x1o", "2x0e", 1, False),
}
INVERSE_CUTOFF = torch.tensor([0.25], dtype=torch.float64)


def problem(
    irreps_in, wanted, l_max, even, order=2, n_edges=23, n_centres=4, n_atoms=6, cutoffs=1, seed=0, doubled=0
):
    """The compiled and the reference convolution as functions of (x, vectors, table), and random arguments."""
    torch.manual_seed(seed)
    paths = ConvolutionPaths(Irreps(irreps_in), Irreps(wanted), l_max, 1 if even else -1)
    centre = torch.sort(torch.randint(0, max(n_centres, 1), (n_edges,))).values
    # Neighbours come in any order and more than once.
    graph = topology(torch.stack([centre, torch.randint(0, max(n_atoms, 1), (n_edges,))]), n_centres, n_atoms)
    # Some edges lie beyond the cutoff of 4.
    vectors = 1.7 * torch.randn(n_edges, 3, dtype=torch.float64)
    x = torch.randn(n_atoms, paths.irreps_in.dim, dtype=torch.float64)
    table = torch.randn(7, order, paths.n_weights, dtype=torch.float64)
    inverse = INVERSE_CUTOFF.expand(cutoffs if cutoffs == 1 else n_edges).clone()
    if cutoffs > 1:
        inverse = inverse * torch.linspace(0.8, 1.3, n_edges, dtype=torch.float64)
    rows, coupling = paths.plan()
    reference = ReferenceConvolution(rows.tolist()).double()

    def compiled(x, vectors, table):
        return torch.ops.equipot.convolve(x, vectors, table, inverse, *graph, rows, coupling, doubled)

    def plain(x, vectors, table):
        return reference(x, vectors, table, inverse, graph, doubled)

    return compiled, plain, (x, vectors, table)


def derivatives(function, arguments, seed=1):
    """Value, first derivatives, and all derivatives of random sums of these."""
    torch.manual_seed(seed)
    arguments = [a.clone().requires_grad_() for a in arguments]
    out = function(*arguments)
    grad = torch.randn_like(out).requires_grad_()
    first = torch.autograd.grad(out, arguments, grad, create_graph=True)
    found = [out, *first]
    for which in ([0], [1], [2], [0, 1, 2]):
        total = sum((first[k] * torch.randn_like(first[k])).sum() for k in which)
        second = torch.autograd.grad(total, [grad, *arguments], retain_graph=True, allow_unused=True)
        for of, value in zip([grad, *arguments], second):
            found.append(torch.zeros_like(of) if value is None else value)
    return [t.detach() for t in found]


def assert_equal(found, expected, tolerance=1e-10):
    for a, b in zip(found, expected, strict=True):
        scale = float(b.abs().max()) if b.numel() else 1.0
        assert a.shape == b.shape
        assert float((a - b).abs().max() if a.numel() else 0.0) <= tolerance * max(scale, 1e-30)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("case", list(CASES))
def test_values_first_and_second_derivatives_are_those_of_the_reference(case, order):
    compiled, plain, arguments = problem(*CASES[case], order=order)
    assert_equal(derivatives(compiled, arguments), derivatives(plain, arguments))


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_edges": 0},
        {"n_edges": 0, "n_centres": 1, "n_atoms": 1},
        {"n_edges": 5, "n_centres": 1, "n_atoms": 1},
        {"n_edges": 0, "n_centres": 0, "n_atoms": 0},
        {"n_edges": 700, "n_centres": 1, "n_atoms": 2},  # one atom with more edges than a chunk holds
        {"n_edges": 5000, "n_centres": 300, "n_atoms": 400},  # several parts of the table's gradient
        {"cutoffs": 2},  # a cutoff per edge
    ],
)
def test_graphs_of_every_size_give_what_the_reference_gives(sizes):
    compiled, plain, arguments = problem("3x0e+2x1o", "3x0e+2x1o", 1, False, **sizes)
    assert_equal(derivatives(compiled, arguments), derivatives(plain, arguments))


@pytest.mark.parametrize(("order", "doubled"), [(2, 4), (3, 1), (3, 4)])
def test_a_knot_that_comes_twice_is_read_from_either_side(order, doubled):
    compiled, plain, arguments = problem(
        "3x0e+2x1o", "3x0e+2x1o", 1, False, order=order, n_edges=200, doubled=doubled
    )
    assert_equal(derivatives(compiled, arguments), derivatives(plain, arguments))


def test_a_doubled_knot_at_an_end_is_refused():
    for doubled in (-1, 5, 6):
        compiled, _, arguments = problem("3x0e", "3x0e", 0, False, doubled=doubled)
        with pytest.raises((RuntimeError, ValueError), match="expected an inner one, or 0"):
            compiled(*arguments)


@pytest.mark.parametrize(("order", "case"), [(2, "both parities"), (3, "natural"), (2, "last layer")])
def test_derivatives_are_those_of_finite_differences(order, case):
    irreps = {"natural": ("2x0e+2x1o+1x2e", "2x0e+2x1o+1x2e", 2, False)}.get(case, CASES[case])
    if case == "last layer":
        irreps = ("3x0e+2x1o", "1x0e", 1, False)
    compiled, _, arguments = problem(*irreps, order=order, n_edges=6)
    vectors = arguments[1]
    # A spline has no third derivative at a knot, and none at the cutoff: keep away from both.
    u = vectors.norm(dim=1) * INVERSE_CUTOFF * 6
    away = (u.floor().clamp(max=5) + 0.5) / u
    arguments = tuple(a.requires_grad_() for a in (arguments[0], vectors * away[:, None], arguments[2]))
    assert gradcheck(compiled, arguments)
    assert gradgradcheck(compiled, arguments)


def test_single_precision_differs_by_rounding_alone():
    for case in CASES.values():
        compiled, plain, arguments = problem(*case)
        paths = ConvolutionPaths(Irreps(case[0]), Irreps(case[1]), case[2], 1 if case[3] else -1)
        rows, coupling = paths.plan()
        graph = compiled.__closure__[[c for c in compiled.__code__.co_freevars].index("graph")].cell_contents

        def single(x, vectors, table, graph=graph, rows=rows, coupling=coupling):
            inverse = INVERSE_CUTOFF.float()
            return torch.ops.equipot.convolve(x, vectors, table, inverse, *graph, rows, coupling)

        found = derivatives(single, [a.float() for a in arguments])
        expected = derivatives(plain, arguments)
        assert_equal([found[0].double()], [expected[0]], 1e-5)
        # The seeds of the random sums differ in precision, so only the value is compared directly; the first
        # derivatives for a given gradient are compared below.
        inputs = [a.float().requires_grad_() for a in arguments]
        exact = [a.clone().requires_grad_() for a in arguments]
        grads = torch.autograd.grad(single(*inputs).square().sum(), inputs)
        wanted = torch.autograd.grad(plain(*exact).square().sum(), exact)
        assert_equal([g.double() for g in grads], wanted, 2e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_have_the_same_bits_for_any_number_of_threads(dtype):
    compiled, _, arguments = problem(
        "33x0e+16x1o+8x2e", "3x0e+1x1o+1x2e", 2, False, n_edges=9000, n_centres=400, n_atoms=500
    )
    cell = dict(zip(compiled.__code__.co_freevars, (c.cell_contents for c in compiled.__closure__)))

    def function(x, vectors, table):
        inverse = cell["inverse"].to(dtype)
        return torch.ops.equipot.convolve(
            x, vectors, table, inverse, *cell["graph"], cell["rows"], cell["coupling"]
        )

    arguments = [a.to(dtype) for a in arguments]
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 1, 2):
            torch.set_num_threads(threads)
            results.append(derivatives(function, arguments))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other))


@pytest.fixture(scope="module")
def of_instruction_set(tmp_path_factory):
    """Name of the kernels in use and their results; the choice is made once a process, so each runs in its own."""
    code = """
import sys, torch
from equipot import native
from tests.ops.test_engine import CASES, derivatives, problem
results = [derivatives(*(lambda c, p, a: (c, a))(*problem(*case))) for case in CASES.values()]
torch.save((native.isa(), results), sys.argv[1])
"""

    @lru_cache
    def results(name: str):
        file = tmp_path_factory.mktemp("isa") / name
        environment = {**os.environ, "EQUIPOT_ISA": name}
        subprocess.run([sys.executable, "-c", code, str(file)], check=True, env=environment)
        return torch.load(file)

    return results


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_every_instruction_set_gives_the_numbers_of_portable_code(of_instruction_set, isa):
    name, portable = of_instruction_set("portable")
    assert name == "portable"
    used, results = of_instruction_set(isa)
    if used != isa:
        pytest.skip(f"this machine has no {isa}; {used} ran")
    for a, b in zip(results, portable):
        assert_equal(a, b)


@pytest.mark.parametrize("near", [native.near, plain_near])
def test_an_edge_as_long_as_the_cutoff_is_none(near):
    """The comparison is strict, with one cutoff and with one for each edge."""
    cutoff = 3.25  # its square is exact in float64
    shorter = np.nextafter(cutoff, 0.0)
    positions = np.zeros((3, 3))
    positions[1, 0], positions[2, 1] = cutoff, shorter
    edges = np.array([[0, 0], [1, 2]])
    for limits in ([cutoff], [cutoff, cutoff]):
        squares = np.array(limits) ** 2
        edge_index, vectors = near(positions, edges, np.zeros((2, 3)), np.zeros((3, 3)), squares)
        assert edge_index.tolist() == [[0], [2]]
        assert vectors.tolist() == [[0.0, shorter, 0.0]]


def test_only_what_is_asked_for_is_computed(monkeypatch):
    """In the force pass the table's gradient is not wanted, in the weights' pass the forces are not."""
    asked = []
    original = engine.Convolution.backward
    monkeypatch.setattr(
        engine.Convolution,
        "backward",
        lambda self, grad, wanted: (asked.append(list(wanted)), original(self, grad, wanted))[1],
    )
    compiled, _, (x, vectors, table) = problem(*CASES["natural"])
    x, vectors = x.requires_grad_(), vectors.requires_grad_()
    weights = torch.ones_like(table).requires_grad_()
    out = compiled(x * 1.0, vectors, table * weights)
    torch.autograd.grad(out.sum(), vectors, retain_graph=True)
    torch.autograd.grad(out.sum(), weights, retain_graph=True)
    torch.autograd.grad(out.sum(), [x, vectors])
    assert asked == [[False, True, False], [False, False, True], [True, True, False]]


def test_a_third_derivative_is_refused_instead_of_wrong():
    compiled, _, arguments = problem(*CASES["natural"])
    x, vectors, table = (a.requires_grad_() for a in arguments)
    (first,) = torch.autograd.grad(compiled(x, vectors, table).square().sum(), vectors, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), vectors, create_graph=True)
    with pytest.raises(RuntimeError, match="third derivatives of a convolution"):
        torch.autograd.grad(second.sum(), vectors)


def wrong(**changes):
    """A call of the operator with one argument replaced."""
    paths = ConvolutionPaths(Irreps("2x0e+1x1o"), Irreps("2x0e+1x1o"), 1)
    rows, coupling = paths.plan()
    graph = topology(torch.tensor([[0, 0, 1], [1, 0, 0]]), 2, 2)
    arguments = {
        "x": torch.zeros(2, 5),
        "edge_vectors": torch.ones(3, 3),
        "table": torch.zeros(4, 2, paths.n_weights),
        "inverse_cutoff": torch.tensor([0.2]),
        **graph._asdict(),
        "paths": rows,
        "coupling": coupling,
    }
    arguments.update({k: v(arguments[k]) for k, v in changes.items()})
    return torch.ops.equipot.convolve(*arguments.values())


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("x", lambda t: t.half(), "float32 or float64"),
        ("x", lambda t: t[:, :4], "beyond the 4 columns"),
        ("x", lambda t: t[:1], "transpose_rowptr"),
        ("edge_vectors", lambda t: t.double(), "edge_vectors is torch.float64"),
        ("edge_vectors", lambda t: t[:2], "differ in length"),
        ("table", lambda t: t[:, :, 1:], "columns of the radial table"),
        ("table", lambda t: t[:1], "1 knots"),
        ("table", lambda t: t[:, :1], "1 numbers per knot"),
        ("inverse_cutoff", lambda t: t.expand(2), "neither one number nor one per edge"),
        ("centre", lambda t: t + 5, "outside the graph"),
        ("neighbour", lambda t: t - 1, "outside the graph"),
        ("rowptr", lambda t: t.flip(0), "rowptr does not ascend"),
        ("transpose_edges", lambda t: t + 1, "outside the graph"),
        ("paths", lambda t: t.int(), "paths is torch.int32"),
        ("paths", lambda t: torch.cat([t, t]), "coupling coefficients end"),
        ("paths", lambda t: t + 5, "l = 5"),
        ("coupling", lambda t: t[:-1], "coupling coefficients end"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_a_sentence(name, change, message):
    assert wrong().shape == (2, Irreps("3x0e+3x1o").dim)
    with pytest.raises(ValueError, match=message):
        wrong(**{name: change})


def test_structures_that_the_library_knows_otherwise_are_refused():
    """As when Python and the library are of different versions: fields would be read as others."""
    compiled, _, (x, vectors, table) = problem("2x0e", "2x0e", 0, False)
    cell = dict(zip(compiled.__code__.co_freevars, (c.cell_contents for c in compiled.__closure__)))
    rest = [*cell["graph"], cell["rows"], cell["coupling"]]
    convolution = engine.Convolution(x, vectors, table, cell["inverse"], rest)
    blocks = torch.tensor([[0, 1, 2, 0, 2, 0]])
    linear = engine.LinearMap(torch.float64, 3, (2, 2), (1, 4), torch.zeros(3, dtype=torch.int64), blocks)
    gate = engine.Gating(x, torch.tensor([[0, 1, 2, 0, -1, 1]]), 2, 1.0, 1.0)
    for given, call in (
        (convolution.problem, convolution.forward),
        (linear.map, lambda: linear.apply(x[:3], torch.ones(1, 4, dtype=torch.float64), False)),
        (gate.plan, gate.forward),
    ):
        call()
        given.size -= 8
        with pytest.raises(ValueError, match=f"has {given.size} bytes; expected {given.size + 8}"):
            call()


@pytest.mark.parametrize("which", ["table", "neighbour", "paths", "coupling"])
def test_tensors_of_another_device_are_refused_before_their_memory_is_read(which):
    """The device meta stands for any other than the CPU; the operator hands such calls to the reference."""
    compiled, _, (x, vectors, table) = problem("2x0e", "2x0e", 0, False)
    cell = dict(zip(compiled.__code__.co_freevars, (c.cell_contents for c in compiled.__closure__)))
    there = {"table": table, **cell["graph"]._asdict(), "paths": cell["rows"], "coupling": cell["coupling"]}
    there[which] = there[which].to("meta")
    table, *rest = there.values()
    with pytest.raises(ValueError, match=r"the tensors are on .*meta; expected all on"):
        engine.Convolution(x, vectors, table, cell["inverse"], rest)


def test_switched_off_the_reference_serves():
    code = """
import torch
from equipot import native
from tests.models import make_potential, model_input, random_atoms
from equipot.network.derivatives import predict
p = make_potential(l_max=2, features=[4, 3, 2])
print(native.isa(), repr(float(predict(p, model_input(p, random_atoms(6))).energy)))
"""
    energies = {}
    for wish in ("", "off"):
        environment = {**os.environ, "EQUIPOT_ENGINE": wish}
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            check=True,
            env=environment,
            capture_output=True,
            text=True,
        )
        isa, energy = run.stdout.split()
        energies[isa] = float(energy)
    assert len(energies) == 2
    assert energies.pop("none") == pytest.approx(energies.popitem()[1], abs=1e-10)


def test_the_measured_peak_grows_with_threads_and_halves_in_double_precision():
    single = native.peak_gfma(4, 1)
    assert single > 1
    assert native.peak_gfma(8, 1) < single


def test_an_unusable_library_is_named(tmp_path):
    broken = tmp_path / "engine.so"
    broken.write_bytes(b"not a library")
    code = "from equipot import native; native.available()"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "EQUIPOT_ENGINE": str(broken)},
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert f"{broken}: the compiled kernels cannot be loaded" in run.stderr


@pytest.mark.parametrize(
    ("n_edges", "n_centres", "n_atoms"), [(0, 0, 0), (0, 3, 3), (40, 5, 9), (7, 1, 1), (300, 50, 50)]
)
def test_topology_and_sums_of_gradients_are_those_of_torch(n_edges, n_centres, n_atoms):
    torch.manual_seed(0)
    centre = torch.sort(torch.randint(0, max(n_centres, 1), (n_edges,))).values
    edges = torch.stack([centre, torch.randint(0, max(n_atoms, 1), (n_edges,))])
    found = topology(edges, n_centres, n_atoms)
    for a, b in zip(found[2:], by_reference(edges, n_centres, n_atoms), strict=True):
        assert torch.equal(a, b)
    gradient, vectors = torch.randn(2, n_edges, 3, dtype=torch.float64)
    graph_of_atom = torch.sort(torch.randint(0, 2, (n_atoms,))).values
    arrays = (t.numpy() for t in (gradient, vectors, edges, graph_of_atom))
    forces, virial = map(torch.from_numpy, native.collect(*arrays, n_atoms, 2))
    torch.testing.assert_close(forces, forces_from(gradient, edges, n_atoms))
    torch.testing.assert_close(virial, virials_from(gradient, vectors, graph_of_atom[edges[0]], 2))
