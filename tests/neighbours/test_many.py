"""The search in many structures at once against `neighbour_list` for each of them."""

import itertools

import numpy as np
import pytest

from equipot import native
from equipot.errors import DataError
from equipot.neighbours import PairCutoffs, neighbour_list
from equipot.neighbours import many as module
from equipot.neighbours.many import neighbours_of_many

PERIODICITIES = list(itertools.product([False, True], repeat=3))
CUTOFFS = PairCutoffs.from_config(["Si", "O"], 3.3, {"Si-O": 2.1})
compiled = pytest.mark.skipif(not native.available(), reason="the compiled library is off or not installed")


def structure(seed, n, pbc, size=4.0):
    """Atoms inside and outside of a skewed cell, whose rows may be zero where nothing is periodic."""
    rng = np.random.default_rng([seed, n])
    cell = size * (np.eye(3) + rng.uniform(-0.35, 0.35, (3, 3)))
    if seed % 2:
        cell = cell[[1, 0, 2]]  # left-handed
    positions = rng.uniform(-2, 3, (n, 3)) @ cell
    cell[~np.array(pbc)] *= rng.integers(0, 2)
    return positions, cell, np.array(pbc), rng.integers(0, 2, n)


def joined(structures):
    positions, cells, pbc, species = zip(*structures)
    first_atom = np.cumsum([0, *map(len, positions)])
    return first_atom, np.concatenate(positions), np.array(cells), np.array(pbc), np.concatenate(species)


def agrees(structures, cutoffs=CUTOFFS):
    first_atom, *arrays = joined(structures)
    index, vectors, n_edges = neighbours_of_many(first_atom, *arrays, cutoffs)
    parts = np.split(np.arange(len(vectors)), np.cumsum(n_edges)[:-1])
    for k, (positions, cell, pbc, species) in enumerate(structures):
        expected, _, r = neighbour_list(
            positions, cell, pbc, cutoffs.cutoff, species=species, pair_cutoffs=cutoffs.matrix
        )
        np.testing.assert_array_equal(index[:, parts[k]] - first_atom[k], expected)  # order included
        np.testing.assert_allclose(
            vectors[parts[k]], r, rtol=0, atol=1e-12 * max(1, np.abs(positions).max(initial=0))
        )
    assert len(vectors) == n_edges.sum()
    return n_edges


def test_neighbours_and_their_order_are_those_of_one_structure_after_the_other():
    structures = [
        structure(k, n, pbc) for k, (n, pbc) in enumerate(itertools.product((1, 2, 9), PERIODICITIES))
    ]
    structures.insert(3, (np.zeros((0, 3)), np.eye(3), np.ones(3, bool), np.zeros(0, int)))
    assert agrees(structures).max() > 50


def test_a_cell_much_smaller_than_the_cutoff_has_all_its_images():
    cell = np.array([[1.1, 0, 0], [0.4, 1.3, 0], [-0.2, 0.3, 0.9]])
    positions, species = np.array([[0.3, 0.2, 0.1], [7.0, -3.0, 0.4]]), np.zeros(2, int)
    structures = [(positions, cell, np.array(p), species) for p in PERIODICITIES[-1:]] + [
        (positions, cell, np.array(p), species) for p in PERIODICITIES[:-1]
    ]
    assert agrees(structures).max() > 128 * 2  # more than there is memory for at first


def test_a_strongly_skewed_cell_has_all_its_images():
    skewed = np.array([[3.0, 0, 0], [30.1, 2.0, 0], [-17.3, 41.0, 2.5]])
    agrees([(np.array([[0.1, 0.2, 0.3], [1.0, 2.0, 1.0]]), skewed, np.ones(3, bool), np.array([0, 1]))])


def test_a_pair_at_the_cutoff_is_none_and_two_atoms_in_one_place_are_neighbours():
    cubic, one = 3.0 * np.eye(3), np.full((1, 3), 0.5)
    at = [(one, cubic, np.ones(3, bool), np.zeros(1, int))]
    assert agrees(at, PairCutoffs.from_config(["Si"], 3.0)).tolist() == [0]
    assert agrees(at, PairCutoffs.from_config(["Si"], 3.0001)).tolist() == [6]
    twice = [(np.full((2, 3), 0.1), cubic, np.zeros(3, bool), np.zeros(2, int))]
    assert agrees(twice, PairCutoffs.from_config(["Si"], 1.0)).tolist() == [2]


def test_atoms_far_apart_and_large_structures_are_searched(monkeypatch):
    far = np.array([[0.0, 0, 0], [1e7, 0, 0], [1e7, 1.0, 0]])
    species = np.zeros(3, int)
    some = (far, np.diag([8.0, 0, 0]), np.array([True, False, False]), species)
    agrees([(far, np.zeros((3, 3)), np.zeros(3, bool), species), some])
    monkeypatch.setattr(module, "SMALL", 5)
    assert agrees([structure(0, 9, (True, True, True)), structure(1, 3, (True, True, False))]).min() > 0


@pytest.mark.parametrize("rows", [[[5, 0, 0], [0, 5, 0], [0, 0, 0]], [[5, 0, 0], [0, 5, 0], [5, 5, 0]]])
@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True)])
def test_a_periodic_cell_without_volume_is_an_error(rows, pbc):
    cell = np.array(rows, float)
    good = structure(0, 3, (True, True, True))
    bad = (np.zeros((1, 3)), cell, np.array(pbc), np.zeros(1, int))
    if cell[2, 0] and pbc[1] is False:
        agrees([good, bad])  # two vectors that are independent
    else:
        with pytest.raises(DataError, match="zero or linearly dependent"):
            neighbours_of_many(*joined([good, bad]), CUTOFFS)


@pytest.mark.parametrize("row", [0, 2])
def test_numbers_that_are_not_finite_are_an_error_only_where_they_matter(row):
    positions, cell, pbc, species = structure(0, 3, (True, True, False))
    cell = cell.copy()
    cell[row] = np.nan
    if row == 2:
        agrees([(positions, cell, pbc, species)])
    else:
        with pytest.raises(DataError, match="not finite"):
            neighbours_of_many(*joined([(positions, cell, pbc, species)]), CUTOFFS)


@compiled
def test_arrays_that_do_not_fit_together_are_refused_before_they_are_read():
    three = np.eye(3)[None]
    first, x, pbc, species = np.array([0, 1]), np.zeros((1, 3)), np.zeros((1, 3), int), np.zeros(1, int)
    limits = np.ones((1, 1))
    with pytest.raises(ValueError, match="species without cutoffs"):
        native.search(first, x, three, three, pbc, species + 1, limits, 8)
    with pytest.raises(ValueError, match="first_atom ends at 2"):
        native.search(first * 2, x, three, three, pbc, species, limits, 8)
    with pytest.raises(ValueError, match="shapes"):
        native.search(first, x, three, three, pbc[:, :2], species, limits, 8)
