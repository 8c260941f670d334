"""Checks of a cell before a neighbour search, and its completion to three vectors."""

import numpy as np

from equipot.errors import DataError


def expect_searchable(finite: bool, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> None:
    """Raise DataError for input that cannot be searched.

    Args:
        finite: whether all positions are finite.
        cell: (3, 3) Å; the periodic vectors must be finite and linearly independent.
        pbc: (3,) bool.
        cutoff: Å; it must be positive.
    """
    if not np.isfinite(cutoff) or cutoff <= 0:
        raise DataError(f"the cutoff is {cutoff} Å; expected a positive length")
    if not (finite and np.isfinite(cell[pbc]).all()):
        raise DataError("positions or cell are not finite, so neighbours cannot be searched")
    if not independent(cell[pbc]):
        raise DataError(
            "the periodic cell vectors are zero or linearly dependent; expected a cell with a volume"
        )


def independent(vectors: np.ndarray) -> bool:
    """Return whether k vectors, shape (k, 3), are linearly independent. Their lengths do not matter."""
    lengths = np.linalg.norm(vectors, axis=1)
    if (lengths == 0).any():
        return False
    return bool(np.linalg.svd(vectors / lengths[:, None], compute_uv=False).min(initial=1.0) > 1e-6)


def complete(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return the cell with unit vectors in place of the non-periodic ones, perpendicular to all other vectors."""
    basis = np.where(pbc[:, None], cell, 0.0)
    if not pbc.any():
        return np.eye(3)
    _, _, right = np.linalg.svd(cell[pbc])
    basis[~pbc] = right[pbc.sum() :]
    return basis
