import itertools

import numpy as np
import pytest
import torch

from equipot.errors import DataError
from equipot.neighbours import neighbour_list
from equipot.neighbours.cell import periodic_axes, volume_of, volumes_of

ALL_PBC = list(itertools.product([False, True], repeat=3))
CELLS = {
    "cubic": np.eye(3) * 6.0,
    "far smaller than the cutoff": np.array([[1.3, 0, 0], [0.2, 1.1, 0], [0.1, -0.3, 1.7]]),
    "skewed": np.array([[5.0, 0, 0], [4.5, 3.0, 0], [-4.0, 2.5, 4.0]]),
    "left-handed": np.array([[0, 4.0, 0], [5.0, 0, 0], [1.0, 1.0, 6.0]]),
    "flat and long": np.array([[2.0, 0, 0], [0, 30.0, 0], [0, 0, 9.0]]),
}


def brute_force(positions, cell, pbc, cutoff):
    """Every pair and every image, without any cleverness."""
    pbc = np.asarray(pbc)
    reach = np.zeros(3, dtype=int)
    periodic = cell[pbc]
    if len(periodic):
        # |s_k| ≤ |r|·|k-th reciprocal vector|, r being the cutoff plus the distance between the atoms.
        span = np.ptp(positions, axis=0)
        heights = np.linalg.norm(np.linalg.pinv(periodic), axis=0)
        reach[pbc] = np.ceil((cutoff + np.linalg.norm(span)) * heights).astype(int) + 1
    images = np.array(list(itertools.product(*[range(-n, n + 1) for n in reach])))
    translations = images @ np.where(pbc[:, None], cell, 0.0)
    found = {}
    for i in range(len(positions)):
        for j in range(len(positions)):
            vectors = positions[j] - positions[i] + translations
            for k in np.flatnonzero(np.linalg.norm(vectors, axis=1) < cutoff):
                if i != j or images[k].any():
                    found[(i, j, *images[k].tolist())] = vectors[k]
    return found


def as_dict(edge_index, shifts, vectors):
    keys = [(i, j, *s) for i, j, s in zip(*edge_index.tolist(), shifts.tolist())]
    assert len(set(keys)) == len(keys), "an edge came twice"
    return dict(zip(keys, vectors))


@pytest.mark.parametrize("pbc", ALL_PBC, ids=lambda p: "".join("FT"[x] for x in p))
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_edges_are_those_of_brute_force(cell, pbc):
    rng = np.random.default_rng(abs(hash(pbc)) % 1000)
    for n, cutoff in [(1, 3.1), (2, 3.9), (6, 2.7)]:
        # Scaled coordinates from -1.5 to 1.5: atoms outside the cell, in every direction.
        positions = rng.uniform(-1.5, 1.5, (n, 3)) @ cell
        edge_index, shifts, vectors = neighbour_list(positions, cell, pbc, cutoff)
        found, expected = as_dict(edge_index, shifts, vectors), brute_force(positions, cell, pbc, cutoff)
        assert found.keys() == expected.keys()
        for key, vector in expected.items():
            np.testing.assert_allclose(found[key], vector, atol=1e-11)
        assert edge_index.dtype == np.int64
        order = np.lexsort((*shifts.T[::-1], edge_index[1], edge_index[0]))
        assert (order == np.arange(len(order))).all()
        assert set(found) == {(j, i, -a, -b, -c) for i, j, a, b, c in found}, "an edge lacks its reverse"


@pytest.mark.parametrize("pbc", ALL_PBC, ids=lambda p: "".join("FT"[x] for x in p))
def test_rows_of_the_cell_in_open_directions_are_not_used(pbc):
    rng = np.random.default_rng(5)
    cell = np.array([[5.0, 0, 0], [2.5, 4.0, 0], [-1.0, 2.5, 4.0]])
    positions = rng.uniform(-9, 9, (9, 3))
    with_rows = neighbour_list(positions, cell, pbc, 4.2)
    without = neighbour_list(positions, np.where(np.array(pbc)[:, None], cell, 0.0), pbc, 4.2)
    for a, b in zip(with_rows, without):
        np.testing.assert_array_equal(a, b)


def test_no_atoms_have_no_edges_and_one_open_atom_has_none():
    for pbc in ALL_PBC:
        edge_index, shifts, vectors = neighbour_list(np.zeros((0, 3)), np.eye(3), pbc, 3.0)
        assert (edge_index.shape, shifts.shape, vectors.shape) == ((2, 0), (0, 3), (0, 3))
    edge_index, shifts, vectors = neighbour_list([[1e5, -3.0, 0.0]], np.zeros((3, 3)), [False] * 3, 3.0)
    assert (edge_index.shape, shifts.shape, vectors.shape) == ((2, 0), (0, 3), (0, 3))


def test_one_atom_sees_its_images():
    edge_index, shifts, vectors = neighbour_list([[7.0, 7.0, 7.0]], np.eye(3) * 2.0, [True] * 3, 2.1)
    assert edge_index.tolist() == [[0] * 6, [0] * 6]
    np.testing.assert_array_equal(vectors, shifts * 2.0)


def test_the_cutoff_itself_is_outside():
    for pbc in ALL_PBC:
        positions = [[0, 0, 0], [0, 0, 2.0]]
        assert neighbour_list(positions, np.eye(3) * 20.0, pbc, 2.0)[0].shape == (2, 0)
        assert neighbour_list(positions, np.eye(3) * 20.0, pbc, np.nextafter(2.0, 3))[0].shape == (2, 2)


def test_open_atoms_kilometres_apart_cost_nothing():
    rng = np.random.default_rng(0)
    cluster = rng.uniform(0, 6, (10, 3))
    positions = np.concatenate(
        [cluster + np.array(d) for d in ([0, 0, 0], [1e13, -1e8, 3e9], [40.0, 40.0, 0.0])]
    )
    expected = len(brute_force(cluster, np.zeros((3, 3)), [False] * 3, 3.0))
    edge_index, _, _ = neighbour_list(
        positions[[*range(10), *range(20, 30)]], np.zeros((3, 3)), [False] * 3, 3.0
    )
    assert edge_index.shape[1] == 2 * expected
    far = neighbour_list(positions, np.zeros((3, 3)), [False] * 3, 3.0)[0]
    assert not set(far[0][far[0] < 10]) & set(range(10, 30))
    assert (far[0] // 10 == far[1] // 10).all()


@pytest.mark.parametrize("pbc", [(False, False, False), (True, False, False), (True, True, False)])
def test_a_diagonal_chain_of_atoms_with_large_gaps_keeps_its_neighbours(pbc):
    n = 200
    positions = np.arange(n)[:, None] * np.array([4.0, 4.0, 4.0]) + 1e7 * (np.arange(n) > 99)[:, None] * [
        0,
        0,
        1.0,
    ]
    edge_index, _, _ = neighbour_list(positions, np.eye(3) * 2000.0, pbc, 7.0)
    i = np.delete(np.arange(n - 1), 99)
    assert set(zip(*edge_index.tolist())) == {*zip(i, i + 1), *zip(i + 1, i)}


def test_pair_cutoffs_shorten_both_directions_of_a_pair():
    rng = np.random.default_rng(1)
    positions, species = rng.uniform(0, 6, (20, 3)), rng.integers(0, 2, 20)
    matrix = np.array([[4.0, 2.5], [2.5, 3.0]])
    args = (positions, np.eye(3) * 6.0, [True, True, False])
    (i, j), _, vectors = neighbour_list(*args, 4.0)
    keep = np.linalg.norm(vectors, axis=1) < matrix[species[i], species[j]]
    edge_index, _, some = neighbour_list(*args, 4.0, species=species, pair_cutoffs=matrix)
    np.testing.assert_array_equal(edge_index, np.stack([i, j])[:, keep])
    np.testing.assert_array_equal(some, vectors[keep])


def test_translating_atoms_by_cell_vectors_changes_shifts_and_not_edges():
    rng = np.random.default_rng(2)
    cell = CELLS["skewed"]
    positions = rng.uniform(0, 1, (5, 3)) @ cell
    moved = positions + rng.integers(-50, 50, (5, 3)) @ cell
    (e1, _, v1), (e2, s2, v2) = (neighbour_list(p, cell, [True] * 3, 4.0) for p in (positions, moved))
    np.testing.assert_allclose(v2, moved[e2[1]] - moved[e2[0]] + s2 @ cell, atol=1e-10)
    assert e1.shape == e2.shape
    np.testing.assert_allclose(
        np.sort(np.linalg.norm(v1, axis=1)), np.sort(np.linalg.norm(v2, axis=1)), atol=1e-10
    )


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [(np.zeros((3, 3)), [True] * 3), (np.diag([3.0, 3.0, 0.0]), [False, False, True])],
)
def test_a_periodic_direction_without_a_cell_vector_is_an_error(cell, pbc):
    with pytest.raises(DataError, match="linearly dependent"):
        neighbour_list(np.zeros((1, 3)), cell, pbc, 3.0)


def test_positions_that_are_not_finite_are_an_error():
    with pytest.raises(DataError, match="not finite"):
        neighbour_list([[0, 0, np.nan]], np.eye(3), [True] * 3, 3.0)


@pytest.mark.parametrize("pbc", ALL_PBC)
def test_a_volume_needs_three_independent_vectors_and_a_periodic_direction(pbc):
    rng = np.random.default_rng(5)
    cells = rng.normal(0, 5, (7, 3, 3))
    cells[1, 2] = 0
    cells[2, 0] = cells[2, 1] - 3 * cells[2, 2]
    cells[3] *= 1e-3
    cells[4, 1] = np.nan
    flat = [1, 2, 4]
    periodic = np.array(pbc)
    expected = np.abs([np.linalg.det(np.nan_to_num(cell)) for cell in cells])
    expected[flat if any(pbc) else slice(None)] = np.nan
    volumes = [volume_of(cell, periodic) for cell in cells]
    np.testing.assert_allclose(volumes, expected, rtol=1e-12)
    batch = volumes_of(torch.from_numpy(cells), torch.from_numpy(periodic).expand(7, 3))
    # Labels are chosen by the one and divided by the other.
    np.testing.assert_array_equal(batch.numpy(), volumes)


def test_the_axes_of_a_layer_span_its_plane():
    cell = np.random.default_rng(6).normal(0, 5, (3, 3))
    for pbc in ALL_PBC:
        axes = periodic_axes(cell, np.array(pbc))
        np.testing.assert_allclose(axes @ axes.T, np.eye(sum(pbc)), atol=1e-14)
        vectors = cell[np.array(pbc)]
        np.testing.assert_allclose(vectors @ axes.T @ axes, vectors, atol=1e-13)
