"""What the roofline counts against loops that touch every number, and how it matches kernels with work."""

import io
import itertools

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks.roofline.counting import (
    GraphSize,
    Work,
    convolution_backward,
    convolution_forward,
    gate,
    launches,
    linear_maps,
)
from benchmarks.roofline.device import Peaks, UnknownPeakError, peaks
from benchmarks.roofline.report import LINEAR, OTHER, Launch, rows, table
from equipot.neighbours import neighbour_list
from equipot.speed.arithmetic import convolution_cost
from tests.benchmarks.running import run_benchmark
from tests.models import KINDS, make_potential, random_atoms

SOME = ("natural", "full", "gaps", "scalar")


class Touched(set):
    """Which numbers of which arrays were read or written; each counts once."""

    def block(self, array, row, start, n):
        self.update((array, row, k) for k in range(start, start + n))


def example(kind):
    """A potential, a graph in which some atoms are alone, and its sizes."""
    potential = make_potential(**KINDS[kind])
    atoms = random_atoms(7, pbc=(True, False, False))
    atoms.positions[-2:] += [[0, 60, 0], [0, 0, 90]]
    edges, _, vectors = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, potential.cutoff)
    lengths = np.linalg.norm(vectors, axis=1)
    n_knots = potential.spec.n_knots
    given = torch.from_numpy(edges), torch.from_numpy(lengths)
    return potential, edges, lengths, GraphSize.of(*given, 7, potential.cutoff, n_knots)


def knots(potential, length):
    """The two on either side."""
    below = int(length / potential.cutoff * (potential.spec.n_knots - 1))
    return below, below + 1


def test_the_size_of_a_graph_is_what_its_edges_name():
    potential, edges, lengths, graph = example("natural")
    assert (graph.atoms, graph.edges) == (7, edges.shape[1])
    assert graph.centres == len(set(edges[0])) < 7
    assert graph.neighbours == len(set(edges[1])) < 7
    assert graph.rows == len({k for r in lengths for k in knots(potential, r)})
    none = GraphSize.of(torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0), 3, 4.0, 10)
    assert none == GraphSize(3, 0, 0, 0, 0)


@pytest.mark.parametrize("kind", SOME)
def test_a_convolution_moves_what_its_edges_and_paths_touch(kind):
    potential, edges, lengths, graph = example(kind)
    order = potential.spec.spline_order
    for k, layer in enumerate(potential.layers):
        paths = layer.paths
        starts = [piece.start for piece in paths.irreps_in.slices()]
        reals, indices, back, back_indices = Touched(), Touched(), Touched(), Touched()
        for edge, (i, j) in enumerate(edges.T):
            indices.add(("neighbour", edge))
            back_indices.update([("transpose_edges", edge), ("centre", edge)])
            for touched in (reals, back):
                touched.block("vector", edge, 0, 3)
            back.block("dvector", edge, 0, 3)
            back.block("grad", i, 0, paths.irreps_out.dim)
            for path in paths.paths:
                for touched in (reals, back):
                    touched.block("x", j, starts[path.block], paths.irreps_in[path.block].dim)
                    for row in knots(potential, lengths[edge]):
                        touched.update(
                            ("table", row, weight, c)
                            for weight in range(path.weights.start, path.weights.stop)
                            for c in range(order)
                        )
        for atom in range(7):
            reals.block("out", atom, 0, paths.irreps_out.dim)
            if k > 0:
                back.block("dx", atom, 0, paths.irreps_in.dim)
        begins = 7 + 1
        forward = convolution_forward(paths, order, graph, 4)
        assert forward.n_bytes == 4 * len(reals) + 8 * (len(indices) + begins)
        assert forward.fma == edges.shape[1] * convolution_cost(paths, order).forward
        backward = convolution_backward(paths, order, graph, 8, k > 0)
        assert backward.n_bytes == 8 * len(back) + 8 * (len(back_indices) + begins)
        assert backward.fma == edges.shape[1] * convolution_cost(paths, order, k > 0).backward


@pytest.mark.parametrize("kind", [*SOME, "extras"])
def test_linear_maps_move_their_features_and_matrices_on_the_way_there_and_back(kind):
    potential = make_potential(**KINDS[kind])
    n, numbers = 5, 0
    for k, layer in enumerate(potential.layers):
        maps = [(layer.linear_in, layer.irreps_in, layer.irreps_in, 2 if k else 1)]
        maps.append((layer.linear_out, layer.paths.irreps_out, layer.gate.irreps_in, 2))
        if layer.self_connection is not None:
            maps.append((layer.self_connection, layer.irreps_in, layer.gate.irreps_in, 2 if k else 1))
        for module, irreps_in, irreps_out, passes in maps:
            shared = {ir for _, ir in irreps_in} & {ir for _, ir in irreps_out}
            features = sum(mul * ir.dim for mul, ir in [*irreps_in, *irreps_out] if ir in shared)
            numbers += passes * (n * features + module.weight.numel())
    widths = [potential.layers[-1].irreps_out.dim, *({"extras": [5]}.get(kind, [])), 1]
    for a, b in itertools.pairwise(widths):
        numbers += 2 * (n * (a + b) + a * b)
    assert linear_maps(potential, n, 4).n_bytes == 4 * numbers


def test_a_gate_moves_its_features_once_and_on_the_way_back_the_gradients_too():
    module = make_potential().layers[0].gate
    x = torch.randn(3, module.irreps_in.dim, dtype=torch.float64, requires_grad=True)
    out = module(x)
    there = 4 * (x.numel() + out.numel())
    assert gate(module, 3, 4, backward=False).n_bytes == there
    assert gate(module, 3, 4, backward=True).n_bytes == there + 4 * x.numel()


def test_launches_go_forward_through_the_layers_and_back():
    potential, _, _, graph = example("natural")
    found = launches(potential, graph)
    assert {len(works) for works in found.values()} == {potential.n_layers}
    order = potential.spec.spline_order
    last, first = potential.layers[-1].paths, potential.layers[0].paths
    assert found["by_centre"][0] == convolution_forward(first, order, graph, 8)
    assert found["by_neighbour"][0] == convolution_backward(last, order, graph, 8, True)
    assert found["by_neighbour"][-1] == convolution_backward(first, order, graph, 8, False)


LIMITS = Peaks(1e12, 1e13, "")


def test_times_of_layers_go_to_the_layers_that_were_launched_then():
    expected = {"by_centre": [Work(100, 10), Work(200, 20)], "by_neighbour": [Work(400, 40), Work(300, 30)]}
    step = [("by_centre", 1e-6), ("ampere_sgemm_128x64_tn", 5e-6), ("by_centre", 2e-6)]
    step += [("by_neighbour", 4e-6), ("by_neighbour", 3e-6), ("elementwise_kernel", 7e-6)]
    events = [Launch(*one) for one in step] * 3
    found = {row["kernel"]: row for row in rows(events, 3, expected, Work(1000, 50), LIMITS)}
    assert [(name, round(1e6 * row["seconds"])) for name, row in found.items()] == [
        ("by_centre, layer 1", 1),
        ("by_centre, layer 2", 2),
        (LINEAR, 5),
        ("by_neighbour, layer 2", 4),
        ("by_neighbour, layer 1", 3),
        (OTHER, 7),
    ]
    assert found["by_neighbour, layer 1"]["of_bandwidth"] == pytest.approx(300 / 3e-6 / 1e12)
    assert found[LINEAR]["of_fma"] == pytest.approx(50 / 5e-6 / 1e13)
    assert found[OTHER]["of_fma"] is None
    text = printed(table("step", list(found.values())))
    assert "by_neighbour, layer 1" in text
    assert "–" in text


def test_a_kernel_launched_more_often_than_expected_has_a_time_and_no_fraction():
    events = [Launch("by_centre", 1e-6)] * 3
    (row,) = rows(events, 1, {"by_centre": [Work(1, 1), Work(1, 1)]}, Work(), LIMITS)
    assert (row["kernel"], row["launches"], row["of_bandwidth"]) == ("by_centre", 3, None)


def test_peaks_of_an_h100_are_those_of_its_data_sheet():
    """H100 SXM5: 3.35 TB/s, 67 TFLOPS in float32 and 34 in float64, of which a multiply-add is two."""
    single = peaks((9, 0), 132, 1_980_000, 2_619_000, 5120, double=False)
    assert single.bytes_per_second == pytest.approx(3.35e12, rel=0.01)
    assert single.fma_per_second == pytest.approx(67e12 / 2, rel=0.01)
    assert peaks((9, 0), 132, 1_980_000, 2_619_000, 5120, double=True).fma_per_second == pytest.approx(
        17e12, rel=0.02
    )
    with pytest.raises(UnknownPeakError, match=r"compute capability 3\.5 .* --peak-tfma"):
        peaks((3, 5), 1, 1, 1, 1, double=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_sentence_says_so():
    done = run_benchmark("roofline")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "roofline: torch sees no GPU, and this measures one\n"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_on_a_gpu_every_layer_has_a_row_with_fractions():
    done = run_benchmark("roofline", "--preset", "nequip-s", "--atoms", "1000")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("by_centre, layer 1", "by_neighbour, layer 1", "gate, layer 1"):
        line = next(l for l in done.stdout.splitlines() if name in l)
        assert line.count("%") == 2


def printed(found):
    with io.StringIO() as file:
        Console(file=file, width=160).print(found)
        return file.getvalue()
