"""The neighbours of many structures at once."""

import numpy as np

from equipot import native
from equipot.neighbours.cell import complete, expect_searchable, independent
from equipot.neighbours.pair_cutoffs import PairCutoffs
from equipot.neighbours.search import neighbour_list

# Up to this number of atoms, a comparison of all pairs is faster than linked cells.
SMALL = 300
# Edges of an atom for which there is memory at first.
LIKELY = 128


def neighbours_of_many(
    first_atom: np.ndarray,
    positions: np.ndarray,
    cells: np.ndarray,
    pbc: np.ndarray,
    species: np.ndarray,
    cutoffs: PairCutoffs,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the edges of several structures, those of `neighbour_list` for one after the other.

    Several threads may search at once.

    Args:
        first_atom: (n_structures + 1,) int64; atoms first_atom[k] to first_atom[k + 1] - 1 belong to structure k.
        positions: (n_atoms, 3) Å, wrapped or not.
        cells: (n_structures, 3, 3) Å, rows are cell vectors.
        pbc: (n_structures, 3) bool.
        species: (n_atoms,) int64, index into the type names of the cutoffs.
        cutoffs: cutoffs of pairs of elements.

    Returns:
        edge_index: (2, n_edges) int64, row 0 the centre, ascending; row 1 the neighbour; both count the atoms of all
            structures.
        edge_vectors: (n_edges, 3) float64, Å.
        n_edges: (n_structures,) int64.

    Raises:
        DataError: positions or a cell are not finite, or periodic cell vectors are linearly dependent.
    """
    if not native.available() or np.diff(first_atom).max(initial=0) > SMALL:
        return _one_by_one(first_atom, positions, cells, pbc, species, cutoffs)
    bases = np.where(pbc[:, :, None], cells, np.eye(3))
    bad = not np.isfinite(positions).all() or not np.isfinite(bases).all()
    for k in () if bad else np.flatnonzero(pbc.any(1) & ~pbc.all(1)):
        bad = bad or not independent(cells[k][pbc[k]])
        bases[k] = np.eye(3) if bad else complete(cells[k], pbc[k])
    if bad or not independent(bases):
        for a, b, cell, p in zip(first_atom[:-1], first_atom[1:], cells, pbc, strict=True):
            expect_searchable(bool(np.isfinite(positions[a:b]).all()), cell, p, cutoffs.cutoff)
    matrix = np.minimum(cutoffs.cutoff, cutoffs.matrix)
    inverses, periodic = np.linalg.inv(bases), pbc.astype(np.int64)
    likely = max(LIKELY * len(positions), 1)
    return native.search(first_atom, positions, bases, inverses, periodic, species, matrix, likely)


def _one_by_one(
    first_atom: np.ndarray,
    positions: np.ndarray,
    cells: np.ndarray,
    pbc: np.ndarray,
    species: np.ndarray,
    cutoffs: PairCutoffs,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    edges, vectors = [np.zeros((2, 0), dtype=np.int64)], [np.zeros((0, 3))]
    for a, b, cell, p in zip(first_atom[:-1], first_atom[1:], cells, pbc, strict=True):
        index, _, r = neighbour_list(
            positions[a:b], cell, p, cutoffs.cutoff, species=species[a:b], pair_cutoffs=cutoffs.matrix
        )
        edges.append(index + a)
        vectors.append(r)
    n_edges = np.array([len(r) for r in vectors[1:]], dtype=np.int64)
    return np.concatenate(edges, axis=1), np.concatenate(vectors), n_edges
