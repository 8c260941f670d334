"""Neighbours within a cutoff, for any periodicity.

The search itself is matscipy's linked cells, or scipy's k-d tree where nothing is periodic: open structures
may spread so far that linked cells would be nearly all empty.
"""

import warnings

import numpy as np
from matscipy.neighbours import neighbour_list as _linked_cells
from scipy.spatial import cKDTree

from equipot.errors import DataError


def neighbour_list(
    positions: np.ndarray,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    *,
    species: np.ndarray | None = None,
    pair_cutoffs: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs closer than the cutoff, periodic images included, both directions of each.

    Parameters
    ----------
    positions : (n_atoms, 3), Å; atoms may lie outside the cell
    cell : (3, 3), Å, rows are cell vectors; rows of non-periodic directions are not used and may be zero
    pbc : (3,) bool
    cutoff : Å; pairs with r < cutoff, strictly
    species, pair_cutoffs : (n_atoms,) int and (n_types, n_types) Å, symmetric: shorter cutoffs of some pairs

    Returns
    -------
    edge_index : (2, n_edges) int64, row 0 the centre i, row 1 the neighbour j; sorted by i, j, shift
    shifts : (n_edges, 3) int64, the number of cell vectors added to the neighbour
    edge_vectors : (n_edges, 3) float64, Å, r_ij = r_j - r_i + shift·cell

    An atom is a neighbour of its own images but never of itself. Raises DataError when positions or cell are
    not finite, or when the periodic cell vectors are linearly dependent.
    """
    positions = np.ascontiguousarray(positions, dtype=np.float64).reshape(-1, 3)
    pbc = np.array(pbc, dtype=bool).reshape(3)
    cell = np.array(cell, dtype=np.float64).reshape(3, 3)
    expect_searchable(bool(np.isfinite(positions).all()), cell, pbc, cutoff)
    if len(positions) == 0:
        return np.zeros((2, 0), np.int64), np.zeros((0, 3), np.int64), np.zeros((0, 3))

    basis = complete(cell, pbc)
    wrapped = np.where(pbc, np.floor(positions @ np.linalg.inv(basis)), 0.0)
    inside = positions - wrapped @ basis
    # A slightly larger search, so that the strict comparison below decides in one place and symmetrically.
    search = _search_periodic if pbc.any() else _search_open
    i, j, shifts = search(inside, basis, pbc, float(cutoff) * (1 + 1e-9))

    vectors = inside[j] - inside[i] + shifts @ basis
    limit: float | np.ndarray = float(cutoff)
    if pair_cutoffs is not None:
        if species is None:
            raise ValueError("pair_cutoffs need species")
        limit = np.minimum(limit, np.asarray(pair_cutoffs)[species[i], species[j]])
    keep = np.einsum("ea,ea->e", vectors, vectors) < np.square(limit)
    keep &= (i != j) | shifts.any(axis=1)
    i, j, shifts, vectors = i[keep], j[keep], shifts[keep], vectors[keep]
    # From wrapped atoms back to the atoms as given.
    shifts = shifts + (wrapped[i] - wrapped[j]).astype(np.int64)
    order = np.lexsort((shifts[:, 2], shifts[:, 1], shifts[:, 0], j, i))
    return np.stack([i[order], j[order]]), shifts[order], np.ascontiguousarray(vectors[order])


def expect_searchable(finite: bool, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> None:
    """DataError unless the cutoff is positive, the periodic vectors span a volume and positions are `finite`."""
    if not np.isfinite(cutoff) or cutoff <= 0:
        raise DataError(f"the cutoff is {cutoff} Å; expected a positive length")
    if not (finite and np.isfinite(cell[pbc]).all()):
        raise DataError("positions or cell are not finite, so there are no neighbours to search")
    if not independent(cell[pbc]):
        raise DataError(
            "the periodic cell vectors are zero or linearly dependent; expected a cell with a volume"
        )


def independent(vectors: np.ndarray) -> bool:
    """Whether (k, 3) vectors span k dimensions, judged without regard to their lengths."""
    lengths = np.linalg.norm(vectors, axis=1)
    if (lengths == 0).any():
        return False
    return bool(np.linalg.svd(vectors / lengths[:, None], compute_uv=False).min(initial=1.0) > 1e-6)


def complete(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """The periodic vectors, completed by unit vectors perpendicular to them and to each other."""
    basis = np.where(pbc[:, None], cell, 0.0)
    if not pbc.any():
        return np.eye(3)
    _, _, right = np.linalg.svd(cell[pbc])
    basis[~pbc] = right[pbc.sum() :]
    return basis


def _search_open(
    positions: np.ndarray, basis: np.ndarray, pbc: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pairs = cKDTree(positions).query_pairs(cutoff, output_type="ndarray").astype(np.int64).reshape(-1, 2)
    i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
    return i, j, np.zeros((len(i), 3), dtype=np.int64)


def _search_periodic(
    inside: np.ndarray, basis: np.ndarray, pbc: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    boxed, cell = _enclose(inside, basis, pbc, cutoff)
    with warnings.catch_warnings():
        # It says that a mostly empty cell is slow to search, and takes larger bins.
        warnings.filterwarnings("ignore", message="Ratio of simulation cell size", category=RuntimeWarning)
        i, j, shifts = _linked_cells(
            "ijS",
            positions=boxed,
            cell=cell,
            pbc=pbc,
            cutoff=cutoff,
            numbers=np.ones(len(inside), dtype=np.int32),
        )
    return i.astype(np.int64), j.astype(np.int64), shifts.astype(np.int64).reshape(-1, 3)


def _enclose(
    inside: np.ndarray, basis: np.ndarray, pbc: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and a cell that holds them, as matscipy wants it, with the same neighbours.

    Along a non-periodic direction, empty stretches longer than the cutoff are shortened: nobody has a
    neighbour across them, and two atoms a micrometre apart would otherwise ask for 10¹² linked cells.
    """
    boxed, cell = inside.copy(), basis.copy()
    for k in np.flatnonzero(~pbc):
        axis = basis[k]
        along = inside @ axis
        order = np.argsort(along, kind="stable")
        gaps = np.diff(along[order], prepend=along[order[0]])
        excess = np.cumsum(np.maximum(gaps - 2 * cutoff, 0.0))
        moved = np.empty_like(along)
        moved[order] = along[order] - excess
        moved -= moved.min()
        # Half a cutoff of room on both sides keeps atoms off the cell's faces.
        boxed += np.outer(moved - along + 0.5 * cutoff, axis)
        cell[k] = axis * (moved.max() + cutoff)
    return boxed, cell
