"""Arithmetic counted against loops that do it, structures, and what the parts of a step have to do with each other."""

from itertools import pairwise

import ase.build
import numpy as np
import pytest
import torch
from ase import Atoms
from e3nn.o3 import Irreps

from equipot.calculators import EquipotCalculator
from equipot.errors import DataError
from equipot.model_file import load_model, write_model
from equipot.ops import ConvolutionPaths, ReferenceConvolution, topology
from equipot.ops.harmonics import _exponents
from equipot.ops.table import read_table
from equipot.speed.arithmetic import convolution_cost, network_cost
from equipot.speed.measure import measure
from equipot.speed.step import SEARCH, TOTAL, Step
from equipot.speed.structure import crystal, repeat
from equipot.speed.timing import WARM_UP, in_turns
from tests.models import KINDS, make_potential, random_atoms

CASES = {
    "first layer": ("3x0e", "4x0e+2x1o+1x2e", 2, 2),
    "natural, quintic": ("2x0e+1x1o+2x2e", "3x0e+1x1o+1x2e", 2, 3),
    "last layer": ("2x0e+3x1o", "1x0e", 1, 2),
}


class Counter:
    """Multiplies and adds, and counts how often."""

    def __init__(self):
        self.n = 0

    def fma(self, a, b, c=0.0):
        self.n += 1
        return a * b + c


def matrices(rows, coupling, unit):
    """P (2 l_out + 1, 2 l_in + 1) of every path for one edge, differentiable by `unit`."""
    found, start = [], 0
    for l_in, l_edge, l_out, *_ in rows.tolist():
        monomials = torch.stack(
            [unit[0] ** a * unit[1] ** b * unit[2] ** c for a, b, c in _exponents(l_edge)]
        )
        shape = (len(monomials), 2 * l_out + 1, 2 * l_in + 1)
        p = coupling[start : start + shape[0] * shape[1] * shape[2]].view(shape)
        start += p.numel()
        found.append(torch.einsum("k,kab->ab", monomials, p))
    return found


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("input_gradient", [True, False])
def test_a_convolution_written_as_loops_takes_as_many_multiply_adds_as_are_counted(case, input_gradient):
    irreps_in, wanted, l_max, order = CASES[case]
    torch.manual_seed(0)
    paths = ConvolutionPaths(Irreps(irreps_in), Irreps(wanted), l_max)
    rows, coupling = paths.plan()
    dim_in, dim_out = paths.irreps_in.dim, paths.irreps_out.dim
    table = torch.randn(5, order, paths.n_weights, dtype=torch.float64)
    x = torch.randn(1, dim_in, dtype=torch.float64, requires_grad=True)
    vector = torch.randn(1, 3, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(1, dim_out, dtype=torch.float64)
    scale = 0.2 * torch.ones(1, dtype=torch.float64)
    graph = topology(torch.zeros(2, 1, dtype=torch.int64), 1, 1)
    expected = ReferenceConvolution(rows.tolist()).double()(x, vector, table, scale, graph)
    expected_dx, expected_dv = torch.autograd.grad((expected * grad).sum(), (x, vector))

    # What the kernels take from the edge, however many channels there are: not counted.
    r = vector.norm().reshape(1)  # differentiable, for the check of dS/dr
    all_w = read_table(table, r.detach() * scale)[0]
    slopes = torch.autograd.functional.jacobian(lambda r: read_table(table, r * scale)[0], r.detach())[:, 0]
    all_p = matrices(rows, coupling, (vector / r)[0])

    forward, backward = Counter(), Counter()
    out, dx = np.zeros(dim_out), np.zeros(dim_in)
    dr, along_p = 0.0, torch.zeros(())
    for (l_in, l_edge, l_out, mul, x_start, out_start, stride, w_start), p_edge in zip(rows.tolist(), all_p):
        d1, d3 = 2 * l_in + 1, 2 * l_out + 1
        p = p_edge.detach().numpy()
        dp = np.zeros((d3, d1))
        for c in range(mul):
            w, w1 = float(all_w[w_start + c]), float(slopes[w_start + c])
            forward.n += 2 * order  # rows of two knots
            backward.n += 2 * (2 * order)  # for value and slope
            xs = [float(x.detach()[0, x_start + m * mul + c]) for m in range(d1)]
            gs = [float(grad[0, out_start + m * stride + c]) for m in range(d3)]
            to = [out_start + m * stride + c for m in range(d3)]
            if l_edge == 0:
                scalar = p[0, 0]
                for m in range(d1):
                    out[to[m]] += scalar * forward.fma(w, xs[m])  # the scalar once per atom, not per edge
                y = [backward.fma(scalar, g) for g in gs]
            else:
                if d1 <= d3:
                    wx = [forward.fma(w, v) for v in xs]
                    for i in range(d3):
                        for m in range(d1):
                            out[to[i]] = forward.fma(p[i, m], wx[m], out[to[i]])
                else:
                    for i in range(d3):
                        product = 0.0
                        for m in range(d1):
                            product = forward.fma(p[i, m], xs[m], product)
                        out[to[i]] = forward.fma(w, product, out[to[i]])
                y = [0.0] * d1
                for i in range(d3):
                    wg = backward.fma(w, gs[i])
                    for m in range(d1):
                        y[m] = backward.fma(p[i, m], gs[i], y[m])
                        dp[i, m] = backward.fma(wg, xs[m], dp[i, m])
            product = 0.0
            for m in range(d1):
                product = backward.fma(y[m], xs[m], product)
                if input_gradient:
                    dx[x_start + m * mul + c] = backward.fma(w, y[m], dx[x_start + m * mul + c])
            dr = backward.fma(w1, product, dr)
        along_p = along_p + (torch.from_numpy(dp) * p_edge).sum()
    dv = torch.autograd.grad(along_p + dr * r.sum(), vector)[0]

    # The loops compute the convolution, so what they count is what it takes.
    np.testing.assert_allclose(out, expected[0].detach(), atol=1e-12)
    np.testing.assert_allclose(dv, expected_dv, atol=1e-12)
    if input_gradient:
        np.testing.assert_allclose(dx, expected_dx[0], atol=1e-12)
    cost = convolution_cost(paths, order, input_gradient)
    assert (cost.forward, cost.backward) == (forward.n, backward.n)


@pytest.mark.parametrize("kind", KINDS)
def test_the_work_of_a_network_is_that_of_its_products(kind):
    potential = make_potential(**KINDS[kind])
    cost = network_cost(potential)

    def products(irreps_in, irreps_out):
        return sum(a * b * i.dim for a, i in irreps_in for b, o in irreps_out if i == o)

    expected = 0
    for k, layer in enumerate(potential.layers):
        passes = 2 if k > 0 else 1  # nothing is differentiated with respect to the first features
        expected += passes * products(layer.irreps_in, layer.irreps_in)
        expected += 2 * products(layer.paths.irreps_out, layer.gate.irreps_in)
        if layer.self_connection is not None:
            expected += passes * products(layer.irreps_in, layer.gate.irreps_in)
        higher = [(mul, ir) for mul, ir in layer.gate.irreps_in if ir.l > 0]
        if kind == "norms" and higher:
            channels = sum(mul for mul, _ in higher)
            expected += 2 * channels * (layer.gate.irreps_in.dim + layer.gate.irreps_in.count("0e"))
    widths = {"extras": [5], "foreign": [5, 4]}.get(kind, [])
    widths = [potential.layers[-1].irreps_out.dim, *widths, 1]
    expected += 2 * sum(a * b for a, b in pairwise(widths))
    assert cost.per_atom(0.0) == expected
    per_edge = sum(
        convolution_cost(layer.paths, potential.spec.spline_order, k > 0).total
        for k, layer in enumerate(potential.layers)
    )
    assert cost.per_atom(7.5) - cost.per_atom(0.0) == pytest.approx(7.5 * per_edge)


@pytest.mark.parametrize("elements", [["Si"], ["Cu"], ["Fe"], ["Ti"], ["H"], ["H", "O"], ["Si", "O", "Al"]])
def test_a_crystal_holds_all_elements_at_distances_of_condensed_matter(elements):
    atoms = crystal(elements, 100)
    assert 100 <= len(atoms) <= 200
    assert set(atoms.symbols) == set(elements)
    distances = atoms.get_all_distances(mic=True) + 100 * np.eye(len(atoms))
    assert distances.min(axis=1).min() > 1.5
    assert distances.min(axis=1).max() < 4.0
    assert atoms.pbc.all()
    assert atoms.cell.lengths().max() < 2 * atoms.cell.lengths().min()
    np.testing.assert_array_equal(atoms.positions, crystal(elements, 100).positions)


def test_a_structure_is_repeated_only_where_it_is_periodic():
    slab = ase.build.fcc111("Al", (1, 1, 3), vacuum=5.0)
    slab.pbc = (True, True, False)
    larger = repeat(slab, 50)
    assert len(larger) >= 50
    assert larger.cell[2, 2] == slab.cell[2, 2]
    assert len(repeat(slab, 2)) == 3
    with pytest.raises(DataError, match="has 2 atoms and no periodic direction"):
        repeat(ase.build.molecule("O2"), 3)
    with pytest.raises(DataError, match="no atoms"):
        repeat(Atoms(), 3)


def test_pieces_take_turns_and_the_warm_up_is_left_out():
    calls = []
    pieces = {name: lambda k, name=name: calls.append((name, k)) for name in "ab"}
    times = in_turns(pieces, seconds=0.0, rounds=2)
    assert calls == [(name, k) for k in range(WARM_UP + 2) for name in "ab"]
    assert {t.rounds for t in times.values()} == {2}
    assert all(0 < t.minimum <= t.median for t in times.values())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    potential = make_potential(seed=1, **KINDS["extras"])
    return load_model(write_model(tmp_path_factory.mktemp("models") / "m.pt", potential, verify=False))


@pytest.mark.parametrize("engine", ["runtime", "torch"])
@pytest.mark.parametrize("pbc", [True, False])
def test_the_parts_of_a_step_compute_what_the_calculator_does(model, pbc, engine):
    atoms = random_atoms(6, seed=2, pbc=pbc)
    model = load_model(model.path, engine_name=engine)
    step = Step(model, atoms)
    atoms.calc = EquipotCalculator(model)
    for name, piece in step.pieces().items():
        if name not in (SEARCH, TOTAL):
            piece(0)
    assert step.without_network.get_potential_energy() == pytest.approx(
        atoms.get_potential_energy(), abs=1e-10
    )
    # The network says what it said of the given structure, so the rest makes its forces and stress of it.
    np.testing.assert_allclose(step.without_network.get_forces(), atoms.get_forces(), atol=1e-10)
    if pbc:
        np.testing.assert_allclose(step.without_network.get_stress(), atoms.get_stress(), atol=1e-10)


def test_steps_differ_from_each_other_and_search_no_neighbours(model):
    step = Step(model, random_atoms(6, seed=2))
    found = [step.pieces()[TOTAL](k).copy() for k in range(3)]
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[2])
    assert step.calculator.neighbours.n_searches == 1


def test_an_atom_without_neighbours_is_a_structure_too(model):
    found = measure(model, Atoms("Si"), steps=1)
    assert found["neighbours"] == 0
    assert found["fma_per_atom_convolutions"] == 0
