"""Dimers: energy and force of two atoms over their distance, and their jumps at the cutoff."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

EPSILON = 1e-3  # Å; finite differences of this size resolve the slope in float32


@dataclass(frozen=True)
class Dimer:
    """The energy and force curve of a pair of elements."""

    elements: tuple[str, str]
    cutoff: float  # Å
    distances: np.ndarray  # Shape: (n,), Å
    energies: np.ndarray  # Shape: (n,), eV, relative to the atoms far apart
    forces: np.ndarray  # Shape: (n,), eV/Å, -dE/dr as the calculator gives it: positive = repulsion
    jump_energy: float  # eV, energy just inside the cutoff minus energy outside
    jump_force: float  # eV/Å
    jump_slope: float  # eV/Å², jump of dF/dr

    @property
    def minimum(self) -> tuple[float, float] | None:
        """Distance (Å) and energy (eV) of the deepest minimum inside the curve; None if it has none."""
        k = int(self.energies.argmin())
        if not 0 < k < len(self.energies) - 1 or self.energies[k] >= -1e-4:
            return None
        a, b, c = np.polyfit(
            self.distances[k - 1 : k + 2] - self.distances[k], self.energies[k - 1 : k + 2], 2
        )
        return float(self.distances[k] - b / (2 * a)), float(c - b * b / (4 * a))

    @property
    def work(self) -> float:
        """Largest difference (eV) between the energies and the integral of the forces, by Simpson's rule.

        Distances below 0.8 covalent bond lengths are left out, as Simpson's rule is inaccurate on a steeper wall.
        """
        first = int((self.distances < 1.6 * shortest_distance(*self.elements)).sum())
        first = 2 * min(first // 2, (len(self.distances) - 3) // 2)
        r, e, f = (x[first:] for x in (self.distances, self.energies, self.forces))
        steps = -(f[:-2:2] + 4 * f[1:-1:2] + f[2::2]) / 6 * (r[2::2] - r[:-2:2])
        return float(np.abs(np.cumsum(steps) - (e[2::2] - e[0])).max())


def shortest_distance(a: str, b: str) -> float:
    """Return the shortest distance of a curve (Å), half the sum of the covalent radii."""
    return 0.5 * float(covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]])


def dimer(
    a: str, b: str, calculator: Any, cutoff: float, closest: float | None = None, points: int = 201
) -> Dimer:
    """Compute the curve of a pair of elements, from `closest` to 1.05 times the cutoff.

    Args:
        a, b: elements
        calculator: any ASE calculator; if it has energies per atom, all distances are computed in one structure
        cutoff: Å, the pair's cutoff
        closest: Å; by default half the sum of the covalent radii
        points: number of evenly spaced distances; an even number is increased by one

    Energies are relative to two atoms three cutoffs apart.
    """
    if closest is None:
        closest = shortest_distance(a, b)
    distances = np.linspace(min(closest, 0.5 * cutoff), 1.05 * cutoff, points | 1)
    edge = cutoff - EPSILON * np.array([1.0, 2.0, 3.0])
    energies, forces = _evaluate(a, b, calculator, np.concatenate([distances, edge, [3 * cutoff]]), cutoff)
    energies = energies - energies[-1]
    n = len(distances)
    force, before, earlier = forces[n : n + 3]
    return Dimer(
        elements=(a, b),
        cutoff=cutoff,
        distances=distances,
        energies=energies[:n],
        forces=forces[:n],
        jump_energy=abs(float(energies[n] + force * -EPSILON)),
        # Extrapolated to the cutoff with a parabola and its slope.
        jump_force=abs(float(3 * force - 3 * before + earlier)),
        jump_slope=abs(float((2.5 * force - 4 * before + 1.5 * earlier) / EPSILON)),
    )


def _evaluate(
    a: str, b: str, calculator: Any, distances: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the energies of the pairs and their forces along the axis."""
    if "energies" in getattr(calculator, "implemented_properties", ()):
        # Pairs at least three cutoffs apart do not interact.
        rows = np.arange(len(distances)) * 3 * cutoff
        first = np.stack([np.zeros_like(rows), rows, np.zeros_like(rows)], axis=1)
        second = first + np.stack([distances, np.zeros_like(rows), np.zeros_like(rows)], axis=1)
        atoms = Atoms([a, b] * len(rows), positions=np.stack([first, second], axis=1).reshape(-1, 3))
        atoms.calc = calculator
        energies = np.asarray(calculator.get_property("energies", atoms)).reshape(-1, 2).sum(axis=1)
        forces = atoms.get_forces().reshape(-1, 2, 3)
        return energies, forces[:, 1, 0]
    energies, along = np.empty(len(distances)), np.empty(len(distances))
    for k, r in enumerate(distances):
        pair = Atoms([a, b], positions=[[0, 0, 0], [r, 0, 0]])
        pair.calc = calculator
        energies[k], along[k] = pair.get_potential_energy(), pair.get_forces()[1, 0]
    return energies, along
