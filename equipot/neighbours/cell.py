"""What a neighbour search asks of a cell."""

import numpy as np

from equipot.errors import DataError


def expect_searchable(finite: bool, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> None:
    """Raise DataError unless the cutoff is positive, the periodic vectors span a volume and positions are `finite`."""
    if not np.isfinite(cutoff) or cutoff <= 0:
        raise DataError(f"the cutoff is {cutoff} Å; expected a positive length")
    if not (finite and np.isfinite(cell[pbc]).all()):
        raise DataError("positions or cell are not finite, so there are no neighbours to search")
    if not independent(cell[pbc]):
        raise DataError(
            "the periodic cell vectors are zero or linearly dependent; expected a cell with a volume"
        )


def independent(vectors: np.ndarray) -> bool:
    """Return whether (k, 3) vectors span k dimensions, whatever their lengths."""
    lengths = np.linalg.norm(vectors, axis=1)
    if (lengths == 0).any():
        return False
    return bool(np.linalg.svd(vectors / lengths[:, None], compute_uv=False).min(initial=1.0) > 1e-6)


def complete(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return the periodic vectors, completed by unit vectors perpendicular to them and to each other."""
    basis = np.where(pbc[:, None], cell, 0.0)
    if not pbc.any():
        return np.eye(3)
    _, _, right = np.linalg.svd(cell[pbc])
    basis[~pbc] = right[pbc.sum() :]
    return basis
