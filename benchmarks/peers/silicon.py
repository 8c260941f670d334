"""The structures of the speed benchmark, the same on every side; numpy alone, for both environments."""

import math

import numpy as np

LATTICE_CONSTANT = 5.431  # Å
RATTLE = 0.05  # Å, standard deviation of every coordinate
_BASIS = np.array(
    [[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]], dtype=float
)


def silicon(repeats: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rattled diamond silicon of conventional cells: positions (n_atoms, 3) Å and cell (3, 3) Å."""
    corners = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    positions = LATTICE_CONSTANT * (corners + _BASIS / 4).reshape(-1, 3)
    positions += np.random.default_rng(seed).normal(0.0, RATTLE, positions.shape)
    return positions, LATTICE_CONSTANT * np.diag(np.array(repeats, dtype=float))


def repeats_for(n_atoms: float) -> tuple[int, int, int]:
    """The nearly cubic supercell, its edges differing by one cell at most, closest in size to `n_atoms`."""
    side = max(1, int((n_atoms / 8) ** (1 / 3)) - 1)
    shapes = [(a, a + i, a + j) for a in range(side, side + 4) for i, j in ((0, 0), (0, 1), (1, 1))]
    return min(shapes, key=lambda shape: abs(math.log(8 * math.prod(shape) / n_atoms)))


def labels(n_atoms: int, seed: int) -> tuple[float, np.ndarray]:
    """Made-up labels of a training frame: energy (eV) and forces (n_atoms, 3) eV/Å."""
    rng = np.random.default_rng([seed, n_atoms])
    return float(rng.normal()), rng.normal(0.0, 0.5, (n_atoms, 3))
