"""Comparison of energy differences with the work of forces and stresses, in pairs of similar frames.

Along the straight line from frame A to frame B,

    E_B - E_A = ∫ (V σ:ε - Σ F·u),

where ε is the strain from cell A to cell B, and u are the displacements beyond this strain. The trapezoidal rule with
the labels of both frames approximates the integral; its error is of third order in the step. Over many pairs, the
regression

    ΔE = a·W_F + b·W_S,    W_F = -½ Σ (F_A + F_B)·u,    W_S = ½ (V_A σ_A + V_B σ_B):ε

must give a = b = 1. A wrong sign gives -1, and a wrong unit gives the ratio of the units. Each pair is weighted with
the inverse of its squared step, summed over the atoms, so that the pairs with the smallest errors decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from equipot.structures.frame import Frame

# Largest steps for which the trapezoidal rule is accurate enough.
_MAX_STRAIN = 0.06
_MAX_DISPLACEMENT = 0.25  # Å
# The squared step of an atom is its squared displacement, plus that of the strain over a typical distance, plus a step
# at which the rounding of energies matters.
_STRAINED_LENGTH, _SMALLEST_STEP = 2.0, 0.01  # Å
# Largest group in which all pairs are compared. In larger groups, a frame is compared with the next frames in the file
# and in volume.
_ALL_PAIRS = 300


@dataclass(frozen=True)
class Factor:
    """A coefficient of the regression, with its uncertainty."""

    value: float
    uncertainty: float  # standard error
    n_pairs: int

    @property
    def share(self) -> float:
        """The part of the energy differences beyond the other term that this term explains (partial R²).

        Noise in the work makes the value too small by about this factor, never smaller.
        """
        return 1 / (1 + self.n_pairs * (self.uncertainty / self.value) ** 2)


@dataclass(frozen=True)
class Fit:
    """The coefficients a (forces) and b (stresses) of the regression; None if the pairs do not determine them."""

    force: Factor | None = None
    stress: Factor | None = None
    misfit: float = np.inf  # part of the squared energy differences that the fit leaves unexplained

    @property
    def known(self) -> list[Factor]:
        """The coefficients that the pairs determine."""
        return [f for f in (self.force, self.stress) if f is not None]


@dataclass(frozen=True)
class Pairs:
    """The energy differences and the work in n pairs of frames."""

    difference: np.ndarray  # Shape: (n,), eV
    of_forces: np.ndarray  # Shape: (n,), eV, work of the forces; zero if a frame of the pair has no forces
    of_stress: np.ndarray  # Shape: (n,), eV, work of the stress
    volume: np.ndarray  # Shape: (n,), Å³, NaN for frames without a volume
    n_atoms: np.ndarray  # Shape: (n,)
    expansion: np.ndarray  # Shape: (n,), Å³, increase of the volume by strain, not by a longer vacuum
    step: np.ndarray  # Shape: (n,), Å², squared step summed over the atoms


def similar_pairs(frames: Sequence[Frame]) -> Pairs:
    """Pair each frame with the two most similar frames of the same atoms, if strain and displacements are small.

    Frames without an energy are left out, and so are displaced pairs without forces and strained pairs without a
    stress.
    """
    groups: dict[tuple[bytes, bytes], list[Frame]] = {}
    for frame in frames:
        if frame.energy is None or len(frame) == 0 or not _finite(frame):
            continue
        groups.setdefault((frame.numbers.tobytes(), frame.pbc.tobytes()), []).append(frame)
    rows = [row for members in groups.values() if len(members) > 1 for row in _pairs_of(members)]
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    return Pairs(*table.T)


def regress(pairs: Pairs) -> Fit:
    """Compute the coefficients of the regression from the half of the pairs with the smaller steps, if it suffices."""
    fit = _fit(pairs)
    if not fit.known:
        return fit
    step = pairs.step / pairs.n_atoms
    finer = _fit(Pairs(**{name: values[step <= np.median(step)] for name, values in vars(pairs).items()}))
    return finer if len(finer.known) == len(fit.known) else fit


def _fit(pairs: Pairs) -> Fit:
    """Compute the coefficients a and b of the regression.

    The pairs determine a coefficient under these conditions: there are at least four pairs for each coefficient; the
    fit explains 90 % of the energy differences; the sign of the difference is right in 80 % of the pairs, so that a few
    large differences do not decide; the standard error is below 15 % of the value; the term explains more than 2 meV;
    and each half of the pairs gives the value within 30 %.
    """
    design = np.stack([pairs.of_forces, pairs.of_stress], axis=1)
    used = [k for k in range(2) if np.abs(design[:, k]).max(initial=0.0) > 1e-6]
    n = len(design)
    if not used or n < 4 * len(used):
        return Fit()
    size = np.sqrt(np.mean(np.square(design[:, used]), axis=0))
    weighted = design[:, used] / pairs.step[:, None]
    scale = np.sqrt(np.mean(np.square(weighted), axis=0))
    scaled, target = weighted / scale, pairs.difference / pairs.step
    solution = _solve(scaled, target)
    explained = scaled @ solution
    residual = target - explained
    total = float(target @ target)
    if total == 0 or residual @ residual > 0.1 * total:
        return Fit()
    clear = np.abs(explained) > 0.1 * np.median(np.abs(target))
    if np.mean(np.sign(explained[clear]) == np.sign(target[clear])) < 0.8:
        return Fit()
    # Both halves have large and small differences.
    order = np.argsort(np.abs(target))
    halves = np.stack([_solve(scaled[half], target[half]) for half in (order[::2], order[1::2])])
    halves_agree = np.abs(halves - solution).max(axis=0) < 0.3 * np.abs(solution)
    covariance = np.linalg.pinv(scaled.T @ scaled) * (residual @ residual) / (n - len(used))
    factors: list[Factor | None] = [None, None]
    for column, k in enumerate(used):
        value, error = solution[column] / scale[column], np.sqrt(covariance[column, column]) / scale[column]
        # Less than 2 meV may be rounding in the file.
        if halves_agree[column] and error < 0.15 * abs(value) and abs(value) * size[column] > 2e-3:
            factors[k] = Factor(float(value), float(error), n)
    return Fit(factors[0], factors[1], float(residual @ residual) / total)


def pressure_offset(pairs: Pairs) -> Factor | None:
    """Compute the offset (eV/Å³) of the energies' slope over the volume from the stresses; None if it is not clear.

    A stress that is computed with a fixed plane-wave basis has a constant error (Pulay stress; Francis and Payne,
    J. Phys. Condens. Matter 2, 4395 (1990)). Its equilibrium volume then differs from that of the energies.
    """
    # Pairs whose volumes differ by more than a thousandth, so that the rounding of the energies does not matter, and
    # with little work of the forces, so that their errors do not matter.
    chosen = np.abs(pairs.expansion) > 1e-3 * np.nan_to_num(pairs.volume, nan=np.inf)
    chosen &= np.abs(pairs.of_forces) < 0.1 * np.abs(pairs.of_stress)
    if np.count_nonzero(chosen) < 8:
        return None
    residual = pairs.difference[chosen] - pairs.of_forces[chosen] - pairs.of_stress[chosen]
    offsets = residual / pairs.expansion[chosen]
    value = float(np.median(offsets))
    spread = 1.4826 * float(np.median(np.abs(offsets - value)))
    return Factor(value, spread, len(offsets)) if spread < 0.5 * abs(value) else None


def shifted(pairs: Pairs, offset: float) -> Pairs:
    """Return the pairs with `offset` (eV/Å³) added to the mean stress of their frames."""
    return replace(pairs, of_stress=pairs.of_stress + offset * np.nan_to_num(pairs.expansion))


def why_unknown(pairs: Pairs, work: np.ndarray, plural: str) -> str:
    """Return why `regress` does not determine the coefficient of this work, for users."""
    if len(work) < 4:
        number = ["are no pairs", "is only 1 pair", "are only 2 pairs", "are only 3 pairs"][len(work)]
        return (
            f"there {number} of similar frames whose energies can be compared (the same atoms in the same order, "
            f"displacements below {_MAX_DISPLACEMENT} Å, strains below {100 * _MAX_STRAIN:.0f} % and with stresses)"
        )
    if np.sqrt(np.mean(np.square(work))) < 0.05 * np.sqrt(np.mean(np.square(pairs.difference))):
        return f"the {plural} do hardly any work between similar frames"
    return f"the energies of {len(work)} pairs of similar frames do not follow the work of forces and stresses closely"


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
    if np.abs(np.linalg.det(cells)).min() < 1e-6:  # partly periodic cells in an unusual orientation
        return []
    scaled = np.einsum("fna,fab->fnb", positions, np.linalg.inv(cells))
    rows = []
    known_pairs: set[tuple[int, int]] = set()
    for i, candidates in enumerate(_candidates(cells)):
        if len(candidates) == 0:
            continue
        strain = np.linalg.solve(cells[i], cells[candidates]) - np.eye(3)
        jump = scaled[candidates] - scaled[i]
        jump -= np.where(pbc, np.round(jump), 0.0)
        moved = np.einsum("fna,fab->fnb", jump, cells[candidates])
        displacement = np.linalg.norm(moved, axis=2).max(axis=1)
        stretch = np.abs(strain).max(axis=(1, 2))
        # The step relative to the largest allowed one. Identical frames are left out.
        size = np.maximum(displacement / _MAX_DISPLACEMENT, stretch / _MAX_STRAIN)
        size[(size > 1) | (size < 1e-4) | (candidates == i)] = np.inf
        for k in np.argsort(size)[:2]:
            j = int(candidates[k])
            if np.isfinite(size[k]) and (min(i, j), max(i, j)) not in known_pairs:
                row = _work(frames[i], frames[j], cells[i], cells[j], moved[k])
                if row is not None:
                    known_pairs.add((min(i, j), max(i, j)))
                    rows.append(row)
    return rows


def _candidates(cells: np.ndarray) -> list[np.ndarray]:
    n = len(cells)
    if n <= _ALL_PAIRS:
        return [np.arange(n)] * n
    by_volume = np.argsort(np.abs(np.linalg.det(cells)), kind="stable")
    rank = np.argsort(by_volume)
    near = [
        {i - 1, i + 1, *by_volume[[max(rank[i] - 1, 0), min(rank[i] + 1, n - 1)]].tolist()} for i in range(n)
    ]
    return [np.array(sorted(j for j in s if 0 <= j < n and j != i)) for i, s in enumerate(near)]


def _work(
    a: Frame, b: Frame, cell_a: np.ndarray, cell_b: np.ndarray, moved: np.ndarray
) -> tuple[float, ...] | None:
    """Compute the row of `Pairs` from frame a to frame b; None if labels are missing.

    The positions are r = s·h with scaled coordinates s and the cell h. If r and h change linearly from a to b, the
    displacement beyond the strain is Δs·h_b at a, and Δs·h_a at b. `moved` is Δs·h_b.
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
        if a.stress is None or b.stress is None or np.isnan(a.volume + b.volume):
            return None
        at_a = a.volume * np.sum(a.stress * np.linalg.solve(cell_a, change))
        at_b = b.volume * np.sum(b.stress * np.linalg.solve(cell_b, change))
        stress = 0.5 * float(at_a + at_b)
    expansion = a.volume * abs(np.linalg.det(cell_b) / np.linalg.det(cell_a)) - a.volume
    strain = np.abs(np.linalg.solve(cell_a, change)).max()
    step = np.sum(np.square(moved)) + len(a) * ((_STRAINED_LENGTH * strain) ** 2 + _SMALLEST_STEP**2)
    return b.energy - a.energy, forces, stress, 0.5 * (a.volume + b.volume), float(len(a)), expansion, step
