"""The kept list against a fresh search."""

import itertools

import numpy as np
import pytest

from equipot.errors import DataError
from equipot.neighbours import VerletList, neighbour_list
from tests.models import random_atoms

CUTOFF = 3.0


def same_edges(kept, atoms, species, pair_cutoffs=None):
    """Edges as sorted rows (i, j, vector) agree with a fresh search."""
    fresh_index, _, fresh_vectors = neighbour_list(
        atoms.positions, atoms.cell.array, atoms.pbc, CUTOFF, species=species, pair_cutoffs=pair_cutoffs
    )
    edge_index, vectors = kept
    assert (np.diff(edge_index[0]) >= 0).all()
    assert edge_index.shape == fresh_index.shape

    def rows(index, r):
        table = np.column_stack([*index, np.round(r, 6) + 0.0])
        return table[np.lexsort(table.T[::-1])]

    np.testing.assert_allclose(rows(edge_index, vectors), rows(fresh_index, fresh_vectors), atol=1e-5)


@pytest.mark.parametrize("pbc", [True, False, (True, True, False), (False, True, False)])
def test_the_kept_list_equals_a_fresh_one_along_a_walk_of_atoms_and_cell(pbc):
    rng = np.random.default_rng(1)
    atoms = random_atoms(12, pbc=pbc)
    species = (atoms.numbers == 8).astype(np.int64)
    kept = VerletList(CUTOFF, 0.6)
    for step in range(120):
        same_edges(kept.update(atoms.positions, atoms.cell.array, atoms.pbc, species), atoms, species)
        atoms.positions += rng.normal(0, 0.02, (12, 3))
        if step % 3 == 0:
            strain = np.eye(3) + rng.normal(0, 0.003, (3, 3))
            atoms.set_cell(atoms.cell.array @ strain, scale_atoms=step % 2 == 0)
        if step % 10 == 5:
            atoms.wrap()
        if step % 25 == 10:
            atoms.positions += rng.normal(0, 3, 3)  # all together
    assert 2 < kept.n_searches < 80


def test_pair_cutoffs_hold_in_the_kept_list():
    rng = np.random.default_rng(2)
    atoms = random_atoms(10)
    species = (atoms.numbers == 8).astype(np.int64)
    pair_cutoffs = np.array([[3.0, 2.2], [2.2, 1.7]])
    kept = VerletList(CUTOFF, 0.5, pair_cutoffs)
    for _ in range(30):
        edges = kept.update(atoms.positions, atoms.cell.array, atoms.pbc, species)
        same_edges(edges, atoms, species, pair_cutoffs)
        atoms.positions += rng.normal(0, 0.03, (10, 3))
    assert 1 < kept.n_searches < 30


def test_wrapping_drift_and_small_steps_cause_no_search():
    atoms = random_atoms(8)
    species = np.zeros(8, dtype=np.int64)
    kept = VerletList(CUTOFF, 0.5)
    kept.update(atoms.positions, atoms.cell.array, atoms.pbc, species)
    atoms.positions += [100.3, -7.1, 2.2]
    atoms.wrap()
    atoms.rattle(0.02, seed=4)
    same_edges(kept.update(atoms.positions, atoms.cell.array, atoms.pbc, species), atoms, species)
    assert kept.n_searches == 1


def test_a_homogeneous_strain_within_the_skin_causes_no_search():
    atoms = random_atoms(8)
    species = np.zeros(8, dtype=np.int64)
    kept = VerletList(CUTOFF, 0.5)
    kept.update(atoms.positions, atoms.cell.array, atoms.pbc, species)
    for strain in (0.95, 1.2):  # compression by 5 % brings pairs from 3.15 Å, the search went to 3.5 Å
        squeezed = atoms.copy()
        squeezed.set_cell(atoms.cell.array * strain, scale_atoms=True)
        same_edges(
            kept.update(squeezed.positions, squeezed.cell.array, atoms.pbc, species), squeezed, species
        )
    assert kept.n_searches == 1
    atoms.set_cell(atoms.cell.array * 0.8, scale_atoms=True)
    same_edges(kept.update(atoms.positions, atoms.cell.array, atoms.pbc, species), atoms, species)
    assert kept.n_searches == 2


def test_other_elements_other_periodicity_and_other_numbers_of_atoms_search_again():
    atoms = random_atoms(6)
    species = np.zeros(6, dtype=np.int64)
    kept = VerletList(CUTOFF, 0.5, np.array([[3.0, 2.0], [2.0, 3.0]]))
    kept.update(atoms.positions, atoms.cell.array, atoms.pbc, species)
    species[0] = 1
    kept.update(atoms.positions, atoms.cell.array, atoms.pbc, species)
    assert kept.n_searches == 2
    kept.update(atoms.positions, atoms.cell.array, np.array([True, True, False]), species)
    assert kept.n_searches == 3
    kept.update(atoms.positions[:5], atoms.cell.array, np.array([True, True, False]), species[:5])
    assert kept.n_searches == 4
    edges, vectors = kept.update(atoms.positions[:0], atoms.cell.array, atoms.pbc, species[:0])
    assert edges.shape == (2, 0)
    assert vectors.shape == (0, 3)


@pytest.mark.parametrize("now", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("before", [(True, True, True), (True, False, False), (False, False, False)])
def test_a_direction_that_becomes_periodic_or_ceases_to_be_is_noticed(before, now):
    atoms = random_atoms(8)
    species = np.zeros(8, dtype=np.int64)
    kept = VerletList(CUTOFF, 0.5)
    for pbc in (before, now):
        atoms.pbc = pbc
        same_edges(kept.update(atoms.positions, atoms.cell.array, atoms.pbc, species), atoms, species)


@pytest.mark.parametrize("entry", [np.nan, np.inf, 0.0])
def test_a_cell_that_is_broken_after_a_search_is_a_sentence(entry):
    atoms = random_atoms(8)
    species = np.zeros(8, dtype=np.int64)
    kept = VerletList(CUTOFF, 0.5)
    kept.update(atoms.positions, atoms.cell.array, atoms.pbc, species)
    cell = atoms.cell.array.copy()
    cell[1] = entry
    with pytest.raises(DataError, match=r"not finite|expected a cell with a volume"):
        kept.update(atoms.positions, cell, atoms.pbc, species)
    # What is not periodic is not looked at.
    atoms.pbc = (True, False, True)
    same_edges(kept.update(atoms.positions, cell, atoms.pbc, species), atoms, species)


def test_two_atoms_approaching_each_other_are_seen():
    """Both move less than the skin, together more: the sum of the two largest displacements decides."""
    positions = np.array([[0.0, 0, 0], [3.45, 0, 0]])
    species = np.zeros(2, dtype=np.int64)
    kept = VerletList(CUTOFF, 0.5)
    none = np.zeros(3, dtype=bool)
    assert kept.update(positions, np.zeros((3, 3)), none, species)[0].shape[1] == 0
    positions[1, 0] = 3.55  # beyond the list
    kept = VerletList(CUTOFF, 0.5)
    kept.update(positions, np.zeros((3, 3)), none, species)
    positions[0, 0] += 0.3
    positions[1, 0] -= 0.3
    assert kept.update(positions, np.zeros((3, 3)), none, species)[0].shape[1] == 2
    assert kept.n_searches == 2


def test_a_negative_skin_is_refused():
    with pytest.raises(ValueError, match=r"skin is -1.0 Å"):
        VerletList(CUTOFF, -1.0)
