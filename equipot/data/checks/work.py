"""Do energies, forces and stresses belong together? Asked of pairs of similar frames.

From frame A to frame B, along the straight line between them,

    E_B - E_A = ∫ (V σ:ε - Σ F·u)      ≈ trapezoid of both ends,

with ε the strain that takes cell A to cell B and u the displacements beyond that strain (the error of the
trapezoidal rule is of third order in the step). So over many pairs the regression

    ΔE = a·W_F + b·W_S,    W_F = -½ Σ (F_A + F_B)·u,    W_S = ½ (V_A σ_A + V_B σ_B):ε

must give a = b = 1. A flipped sign gives -1, and a wrong unit gives the ratio of the units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from equipot.structures.frame import Frame

# Steps beyond which the trapezoidal rule is not to be trusted.
_MAX_STRAIN = 0.06
_MAX_DISPLACEMENT = 0.25  # Å
# All pairs are compared in groups up to this size, and only neighbours in file and in volume beyond it.
_ALL_PAIRS = 300


@dataclass(frozen=True)
class Factor:
    """A regression coefficient between energy differences and the work of the labels."""

    value: float
    uncertainty: float  # standard error
    n_pairs: int


@dataclass(frozen=True)
class Pairs:
    """Energy differences and works of n pairs."""

    difference: np.ndarray  # Shape: (n,), eV
    of_forces: np.ndarray  # Shape: (n,), eV, zero where a frame of the pair has no forces
    of_stress: np.ndarray  # Shape: (n,), eV
    volume: np.ndarray  # Shape: (n,), Å³, NaN unless fully periodic
    n_atoms: np.ndarray  # Shape: (n,)
    expansion: np.ndarray  # Shape: (n,), Å³, by which the cell grows


def similar_pairs(frames: Sequence[Frame]) -> Pairs:
    """Each frame with its most similar one among those of the same atoms, cells and displacements permitting.

    Frames without an energy are left out; so are pairs that moved and lack forces, or that are strained and
    lack a stress.
    """
    groups: dict[tuple[bytes, bytes], list[Frame]] = {}
    for frame in frames:
        if frame.energy is None or len(frame) == 0 or not _finite(frame):
            continue
        groups.setdefault((frame.numbers.tobytes(), frame.pbc.tobytes()), []).append(frame)
    rows = [row for members in groups.values() if len(members) > 1 for row in _pairs_of(members)]
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return Pairs(*table.T)


def regress(pairs: Pairs) -> tuple[Factor | None, Factor | None]:
    """(a, b) of the regression above; None where the pairs do not determine one with confidence.

    Confidence: at least four pairs for each coefficient; energy differences explained to 95 %; the sign of
    the difference right in 80 % of the pairs, so that no few large ones decide; a standard error below 15 %
    of the value; a term that explains more than 2 meV; the same value within 30 % from each half.
    """
    design = np.stack([pairs.of_forces, pairs.of_stress], axis=1)
    used = [k for k in range(2) if np.abs(design[:, k]).max(initial=0.0) > 1e-6]
    n = len(design)
    if not used or n < 4 * len(used):
        return None, None
    scale = np.sqrt(np.mean(np.square(design[:, used]), axis=0))
    scaled = design[:, used] / scale
    solution = _solve(scaled, pairs.difference)
    explained = scaled @ solution
    residual = pairs.difference - explained
    total = float(pairs.difference @ pairs.difference)
    if total == 0 or residual @ residual > 0.05 * total:
        return None, None
    clear = np.abs(explained) > 0.1 * np.median(np.abs(pairs.difference))
    if np.mean(np.sign(explained[clear]) == np.sign(pairs.difference[clear])) < 0.8:
        return None, None
    # Halves with large and small differences in both.
    order = np.argsort(np.abs(pairs.difference))
    halves = np.stack([_solve(scaled[half], pairs.difference[half]) for half in (order[::2], order[1::2])])
    agree = np.abs(halves - solution).max(axis=0) < 0.3 * np.abs(solution)
    covariance = np.linalg.pinv(scaled.T @ scaled) * (residual @ residual) / (n - len(used))
    factors: list[Factor | None] = [None, None]
    for place, k in enumerate(used):
        value, error = solution[place], float(np.sqrt(covariance[place, place]))
        # Less than 2 meV may be rounding in the file.
        if agree[place] and error < 0.15 * abs(value) and abs(value) > 2e-3:
            factors[k] = Factor(float(value / scale[place]), error / float(scale[place]), n)
    return factors[0], factors[1]


def pressure_offset(pairs: Pairs) -> Factor | None:
    """eV/Å³ by which the slope of the energies over the volume exceeds the stresses; None where that is not clear.

    A stress computed in a fixed basis of plane waves is off by a pressure (Pulay stress; Francis and Payne, J. Phys.
    Condens. Matter 2, 4395 (1990)), and so belongs to another equilibrium volume than the energies.
    """
    # Growing by a part in a thousand, so that rounding of the energies does not show; and nearly without the work of
    # forces, whose own errors would.
    grown = np.abs(pairs.expansion) > 1e-3 * np.nan_to_num(pairs.volume, nan=np.inf)
    grown &= np.abs(pairs.of_forces) < 0.1 * np.abs(pairs.of_stress)
    if np.count_nonzero(grown) < 8:
        return None
    left = pairs.difference[grown] - pairs.of_forces[grown] - pairs.of_stress[grown]
    offsets = left / pairs.expansion[grown]
    value = float(np.median(offsets))
    spread = 1.4826 * float(np.median(np.abs(offsets - value)))
    return Factor(value, spread, len(offsets)) if spread < 0.5 * abs(value) else None


def _solve(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    solution, *_ = np.linalg.lstsq(design, target, rcond=None)
    return solution


def _finite(frame: Frame) -> bool:
    stress = 0.0 if frame.stress is None else frame.stress
    forces = 0.0 if frame.forces is None else frame.forces
    labels = [frame.energy, forces, frame.positions, frame.cell, stress]
    return all(np.isfinite(np.asarray(x, dtype=np.float64)).all() for x in labels)


def _pairs_of(frames: list[Frame]) -> list[tuple[float, ...]]:
    pbc = frames[0].pbc
    cells = np.stack([np.where(pbc[:, None], f.cell, np.eye(3)) for f in frames])
    positions = np.stack([f.positions for f in frames])
    if np.abs(np.linalg.det(cells)).min() < 1e-6:  # one or two periodic vectors in an unusual direction
        return []
    scaled = np.einsum("fna,fab->fnb", positions, np.linalg.inv(cells))
    rows = []
    done: set[tuple[int, int]] = set()
    for i, candidates in enumerate(_candidates(cells)):
        if len(candidates) == 0:
            continue
        strain = np.linalg.solve(cells[i], cells[candidates]) - np.eye(3)
        jump = scaled[candidates] - scaled[i]
        jump -= np.where(pbc, np.round(jump), 0.0)
        moved = np.einsum("fna,fab->fnb", jump, cells[candidates])
        far = np.linalg.norm(moved, axis=2).max(axis=1)
        stretch = np.abs(strain).max(axis=(1, 2))
        # In units of what is allowed; identical frames (or the frame itself) teach nothing.
        size = np.maximum(far / _MAX_DISPLACEMENT, stretch / _MAX_STRAIN)
        size[(size > 1) | (size < 1e-4) | (candidates == i)] = np.inf
        for k in np.argsort(size)[:2]:
            j = int(candidates[k])
            if np.isfinite(size[k]) and (min(i, j), max(i, j)) not in done:
                row = _work(frames[i], frames[j], cells[i], cells[j], moved[k])
                if row is not None:
                    done.add((min(i, j), max(i, j)))
                    rows.append(row)
    return rows


def _candidates(cells: np.ndarray) -> list[np.ndarray]:
    n = len(cells)
    if n <= _ALL_PAIRS:
        return [np.arange(n)] * n
    by_volume = np.argsort(np.abs(np.linalg.det(cells)), kind="stable")
    place = np.argsort(by_volume)
    near = [
        {i - 1, i + 1, *by_volume[[max(place[i] - 1, 0), min(place[i] + 1, n - 1)]].tolist()}
        for i in range(n)
    ]
    return [np.array(sorted(j for j in s if 0 <= j < n and j != i)) for i, s in enumerate(near)]


def _work(
    a: Frame, b: Frame, cell_a: np.ndarray, cell_b: np.ndarray, moved: np.ndarray
) -> tuple[float, ...] | None:
    """(ΔE, W_F, W_S, volume, atoms, expansion) from a to b; `moved` are the changes of scaled coordinates times cell b.

    With r = s·h and both r and h linear along the way, the displacement beyond the strain is Δs·h_b at a, and
    Δs·h_a at b.
    """
    assert a.energy is not None
    assert b.energy is not None
    change = cell_b - cell_a
    strained = np.abs(change).max() > 1e-7
    forces = stress = 0.0
    if a.forces is not None and b.forces is not None:
        moved_at_b = moved @ np.linalg.inv(cell_b) @ cell_a
        forces = -0.5 * float(np.sum(a.forces * moved) + np.sum(b.forces * moved_at_b))
    elif np.abs(moved).max() > 1e-4:
        return None
    if strained:
        if a.stress is None or b.stress is None or not a.pbc.all():
            return None
        at_a = a.volume * np.sum(a.stress * np.linalg.solve(cell_a, change))
        at_b = b.volume * np.sum(b.stress * np.linalg.solve(cell_b, change))
        stress = 0.5 * float(at_a + at_b)
    volume, expansion = 0.5 * (a.volume + b.volume), b.volume - a.volume
    return b.energy - a.energy, forces, stress, volume, float(len(a)), expansion
