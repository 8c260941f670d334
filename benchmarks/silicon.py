"""Rattled silicon, the same for all packages; numpy alone, since every environment has it."""

import math

import numpy as np

CUTOFF = 5.0  # Å
NEIGHBOURS = 28.0  # within the cutoff
LATTICE_CONSTANT = 5.431  # Å
RATTLE = 0.05  # Å, standard deviation of every coordinate
_BASIS = np.array(
    [[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0], [1, 1, 1], [1, 3, 3], [3, 1, 3], [3, 3, 1]], dtype=float
)


def silicon(repeats: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (n_atoms, 3) Å and cell (3, 3) Å of a rattled diamond supercell of conventional cells."""
    corners = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    positions = LATTICE_CONSTANT * (corners + _BASIS / 4).reshape(-1, 3)
    positions += np.random.default_rng(seed).normal(0.0, RATTLE, positions.shape)
    return positions, LATTICE_CONSTANT * np.diag(np.array(repeats, dtype=float))


def repeats_for(n_atoms: float) -> tuple[int, int, int]:
    """Return the supercell closest in size to `n_atoms` whose edges differ by one cell at most."""
    side = max(1, int((n_atoms / 8) ** (1 / 3)) - 1)
    shapes = [(a, a + i, a + j) for a in range(side, side + 4) for i, j in ((0, 0), (0, 1), (1, 1))]
    return min(shapes, key=lambda shape: abs(math.log(8 * math.prod(shape) / n_atoms)))


def random_labels(n_atoms: int, seed: int) -> tuple[float, np.ndarray]:
    """Return random labels of a training frame: energy (eV) and forces (n_atoms, 3) eV/Å."""
    rng = np.random.default_rng([seed, n_atoms])
    return float(rng.normal()), rng.normal(0.0, 0.5, (n_atoms, 3))
