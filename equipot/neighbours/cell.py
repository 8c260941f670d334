"""Checks of a cell before a neighbour search, its completion to three vectors, its volume and its periodic plane."""

from typing import Any

import numpy as np

from equipot.errors import DataError
from equipot.neighbours.arrays import Array, namespace

FLAT = 1e-6  # smallest volume of three unit vectors along the cell vectors of a cell that has a volume
NO_VOLUME = "a volume needs three cell vectors that span one, and at least one periodic direction"


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
    """Return whether k vectors (k, 3), or those of each set in (n, k, 3), are linearly independent.

    Their lengths do not matter.
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if (lengths == 0).any():
        return False
    return bool(np.linalg.svd(vectors / lengths, compute_uv=False).min(initial=1.0) > 1e-6)


def complete(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return the cell with unit vectors in place of the non-periodic ones, perpendicular to all other vectors."""
    basis = np.where(pbc[:, None], cell, 0.0)
    if not pbc.any():
        return np.eye(3)
    _, _, right = np.linalg.svd(cell[pbc])
    basis[~pbc] = right[pbc.sum() :]
    return basis


def volume_of(cell: np.ndarray, pbc: np.ndarray) -> float:
    """Return the volume in Å³ that a stress refers to, or NaN for a cell without one.

    A volume needs three linearly independent cell vectors and at least one periodic direction. The vacuum of a layer
    counts, as in DFT codes: its stress is the derivative of the energy with respect to strain, divided by the volume of
    the whole cell. A molecule without a periodic direction has no stress, even if its file has a box. Strain of the
    box changes nothing, and strain of the molecule is described by its forces.

    Args:
        cell: (3, 3) Å, rows are the cell vectors.
        pbc: (3,) bool.
    """
    volume, cuboid = _volume_and_cuboid(cell.tolist())
    return volume if bool(pbc.any()) and volume > FLAT * cuboid else float("nan")


def volumes_of(cells: Array, pbc: Array) -> Array:
    """Return the volumes (n,) of cells (n, 3, 3) with periodicities (n, 3); the same numbers as `volume_of` has."""
    xp = namespace(cells)
    volume, cuboid = _volume_and_cuboid([[cells[:, i, k] for k in range(3)] for i in range(3)])
    return xp.where(pbc.any(1) & (volume > FLAT * cuboid), volume, xp.nan)


def _volume_and_cuboid(cell: list[list[Any]]) -> tuple[Any, Any]:
    """Return the volume of a cell, and the volume that it would have with right angles.

    The operations are those that numbers and tensors share. torch.linalg.det would start a solver for every batch.
    """
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = cell
    triple_product = (ay * bz - az * by) * cx + (az * bx - ax * bz) * cy + (ax * by - ay * bx) * cz
    squares = (ax * ax + ay * ay + az * az) * (bx * bx + by * by + bz * bz) * (cx * cx + cy * cy + cz * cz)
    return abs(triple_product), squares**0.5


def periodic_axes(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return orthonormal vectors (n_periodic, 3) that span the periodic directions.

    For three directions, they are the Cartesian axes. For a layer in a Cartesian plane, they are the axes of this plane
    up to their signs.
    """
    if pbc.all():
        return np.eye(3)
    axes, _ = np.linalg.qr(cell[pbc].T)
    return axes.T
