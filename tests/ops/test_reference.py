"""The reference convolution against e3nn's own tensor product, spherical harmonics and loops over edges."""

import numpy as np
import pytest
import torch
from e3nn import o3
from e3nn.o3 import TensorProduct, spherical_harmonics
from torch.autograd import gradcheck, gradgradcheck

from equipot.irreps import Irreps
from equipot.ops import ConvolutionPaths, ReferenceConvolution, topology
from equipot.ops.harmonics import SphericalHarmonics
from equipot.ops.table import read_table

CASES = [
    ("3x0e", "4x0e+2x1o", 1, False),
    ("4x0e+2x1o+3x2e", "4x0e+2x1o+3x2e", 2, False),
    ("2x0e+1x0o+2x1o+3x1e", "2x0e+1x0o+2x1o+3x1e+1x2o", 2, False),
    ("2x0e+3x1e+2x2e", "2x0e+3x1e+2x2e", 2, True),
    ("2x0e+2x3o+1x4e", "2x0e+2x3o", 4, False),
    ("4x0e+2x1o", "3x0e", 1, False),  # a last layer
]


def to_e3nn(x: torch.Tensor, irreps: Irreps) -> torch.Tensor:
    """(…, m, channel) to e3nn's (…, channel, m)."""
    out, start = [], 0
    for mul, ir in irreps:
        block = x[:, start : start + mul * ir.dim].reshape(-1, ir.dim, mul)
        out.append(block.transpose(1, 2).flatten(1))
        start += mul * ir.dim
    return torch.cat(out, dim=1)


def random_problem(irreps_in: Irreps, n_weights: int, order: int = 2):
    torch.manual_seed(0)
    n_atoms, n_centres, n_edges = 5, 3, 11
    centre = torch.sort(torch.randint(0, n_centres, (n_edges,))).values
    edge_index = torch.stack([centre, torch.randint(0, n_atoms, (n_edges,))])
    x = torch.randn(n_atoms, irreps_in.dim, dtype=torch.float64)
    vectors = 1.5 * torch.randn(n_edges, 3, dtype=torch.float64)
    table = torch.randn(9, order, n_weights, dtype=torch.float64)
    return (
        x,
        vectors,
        table,
        torch.tensor([0.25], dtype=torch.float64),
        topology(edge_index, n_centres, n_atoms),
    )


@pytest.mark.parametrize(("irreps_in", "wanted", "l_max", "even"), CASES)
def test_convolution_is_a_sum_of_e3nn_tensor_products(irreps_in, wanted, l_max, even):
    irreps_in, wanted = Irreps(irreps_in), Irreps(wanted)
    paths = ConvolutionPaths(irreps_in, wanted, l_max, 1 if even else -1)
    x, vectors, table, inverse, graph = random_problem(irreps_in, paths.n_weights)
    out = ReferenceConvolution(paths.plan()[0].tolist()).double()(x, vectors, table, inverse, graph)

    edge = o3.Irreps([(1, (l, 1 if even else (-1) ** l)) for l in range(l_max + 1)])
    instructions = [(p.block, p.l_edge, k, "uvu", True) for k, p in enumerate(paths.paths)]
    torch.set_default_dtype(torch.float64)  # e3nn takes the precision of its constants from the default
    try:
        product = TensorProduct(
            o3.Irreps(str(irreps_in)),
            edge,
            o3.Irreps([(p.mul, tuple(p.out)) for p in paths.paths]),
            instructions,
            shared_weights=False,
            internal_weights=False,
        )
    finally:
        torch.set_default_dtype(torch.float32)
    weights = read_table(table, vectors.norm(dim=1) * inverse)
    harmonics = spherical_harmonics(list(range(l_max + 1)), vectors, True, "component")
    messages = product(to_e3nn(x, irreps_in)[graph.neighbour], harmonics, weights)
    expected = torch.zeros(3, messages.shape[1], dtype=torch.float64)
    for e, i in enumerate(graph.centre.tolist()):
        expected[i] += messages[e]
    # e3nn keeps one output per path; here the paths to one irrep lie side by side.
    columns, start = {}, 0
    for p in paths.paths:
        columns.setdefault(p.out, []).append(expected[:, start : start + p.mul * p.out.dim])
        start += p.mul * p.out.dim
    joined = torch.cat([torch.cat(columns[ir], dim=1) for _, ir in paths.irreps_out], dim=1)
    torch.testing.assert_close(to_e3nn(out, paths.irreps_out), joined, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("order", [2, 3])
def test_first_and_second_derivatives_are_those_of_finite_differences(order):
    irreps = Irreps("2x0e+1x1o")
    paths = ConvolutionPaths(irreps, irreps, 1)
    x, vectors, table, inverse, graph = random_problem(irreps, paths.n_weights, order)
    convolution = ReferenceConvolution(paths.plan()[0].tolist()).double()

    def f(x, vectors, table):
        return convolution(x, vectors, table, inverse, graph)

    arguments = tuple(t.requires_grad_(True) for t in (x, vectors, table))
    assert gradcheck(f, arguments)
    assert gradgradcheck(f, arguments)


@pytest.mark.parametrize("l_max", range(6))
def test_spherical_harmonics_are_those_of_e3nn(l_max):
    unit = torch.nn.functional.normalize(torch.randn(40, 3, dtype=torch.float64), dim=1)
    expected = spherical_harmonics(list(range(l_max + 1)), unit, True, "component")
    torch.testing.assert_close(SphericalHarmonics(l_max)(unit), expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize(("order", "smooth"), [(2, 1), (3, 2)])
def test_splines_reproduce_polynomials_of_their_order_and_join_smoothly(order, smooth):
    polynomial = np.polynomial.Polynomial(
        [0.3, -1.0, 2.0, 0.7] if order == 2 else [0.3, -1, 2, 0.7, -0.4, 0.9]
    )
    u = np.linspace(0, 1, 6)
    rows = np.stack([polynomial.deriv(k)(u) if k else polynomial(u) for k in range(order)], axis=1)
    table = torch.from_numpy(rows[:, :, None])
    at = torch.linspace(0, 1, 57, dtype=torch.float64)
    torch.testing.assert_close(read_table(table, at)[:, 0], torch.from_numpy(polynomial(at.numpy())))
    # Random knots: derivatives up to `smooth` agree on both sides of a knot.
    table = torch.randn(6, order, 1, dtype=torch.float64)
    for knot in (0.2, 0.6):
        sides = []
        for at in (knot - 1e-9, knot + 1e-9):
            u = torch.tensor([at], dtype=torch.float64, requires_grad=True)
            values = [read_table(table, u).sum()]
            for _ in range(smooth):
                values.append(torch.autograd.grad(values[-1], u, create_graph=True)[0].sum())
            sides.append(torch.stack(values))
        torch.testing.assert_close(sides[0], sides[1], atol=2e-5, rtol=1e-6)


def test_beyond_the_cutoff_the_last_knot_is_read_with_zero_slope():
    table = torch.randn(6, 2, 3, dtype=torch.float64)
    u = torch.tensor([1.0, 1.7], dtype=torch.float64, requires_grad=True)
    values = read_table(table, u)
    torch.testing.assert_close(values[1], table[-1, 0])
    (slope,) = torch.autograd.grad(values[1].sum(), u)
    assert slope[1] == 0


@pytest.mark.parametrize(
    ("edge_index", "message"),
    [
        ([[1, 0], [0, 1]], "not sorted"),
        ([[0, 2], [0, 0]], "centre outside"),
        ([[0, 1], [0, 5]], "neighbour outside"),
        ([[0, 1], [-1, 0]], "neighbour outside"),
    ],
)
def test_a_wrong_edge_list_is_refused(edge_index, message):
    with pytest.raises(RuntimeError, match=message):
        topology(torch.tensor(edge_index), 2, 2)


def test_the_transposed_list_names_every_edge_once_by_neighbour():
    edge_index = torch.tensor([[0, 0, 1, 1, 2], [2, 1, 3, 1, 1]])
    graph = topology(edge_index, 3, 4)
    assert graph.rowptr.tolist() == [0, 2, 4, 5]
    for j in range(4):
        mine = graph.transpose_edges[graph.transpose_rowptr[j] : graph.transpose_rowptr[j + 1]]
        assert sorted(mine.tolist()) == (edge_index[1] == j).nonzero().flatten().tolist()


def test_a_jump_of_the_curvature_at_a_doubled_knot_costs_no_accuracy():
    # x² to the left of 0.9, and a parabola of other curvature to its right: one polynomial on either side.
    def jet(u, right):
        more = 5.0 * (u - 0.9) ** 2 if right else torch.zeros_like(u)
        slope = 10.0 * (u - 0.9) if right else torch.zeros_like(u)
        curvature = 10.0 if right else 0.0
        return torch.stack([u**2 + more, 2 * u + slope, torch.full_like(u, 2.0 + curvature)], dim=1)

    at = torch.linspace(0.0, 1.0, 11, dtype=torch.float64)
    table = torch.cat([jet(at[:10], False), jet(at[9:], True)]).unsqueeze(2)
    u = torch.linspace(0.0, 0.9999, 1001, dtype=torch.float64)
    exact = torch.where(u < 0.9, u**2, u**2 + 5 * (u - 0.9) ** 2)
    torch.testing.assert_close(read_table(table, u, 9)[:, 0], exact, atol=1e-14, rtol=0)
    once = torch.cat([table[:9], table[10:]])
    assert float((read_table(once, u)[:, 0] - exact).abs().max()) > 1e-4
