"""Crystals of springs: everything about them is known in closed form."""

from typing import ClassVar

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from matscipy.neighbours import neighbour_list

K = 2.0  # eV/Å²
A = 4.0  # Å, fcc lattice parameter
D = A / np.sqrt(2)
THZ = 98.2269 / (2 * np.pi)  # of sqrt(eV/Å²/amu)


class Springs(Calculator):
    """Half k (r - d)² between nearest neighbours."""

    implemented_properties: ClassVar = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, k: float = K, d: float = D) -> None:
        super().__init__()
        self.k, self.d = k, d

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        i, r, vectors = neighbour_list("idD", self.atoms, 1.2 * self.d)
        pull = (self.k * (r - self.d) / r)[:, None] * vectors
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, i, pull)
        energy = 0.25 * self.k * float(np.square(r - self.d).sum())
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        if self.atoms.pbc.any() and self.atoms.cell.rank == 3:
            stress = 0.5 * pull.T @ vectors / self.atoms.get_volume()
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)


class Harmonic(Calculator):
    """Half u·Φ·u around the fcc crystal of springs: the same with a matrix, for long runs."""

    implemented_properties: ClassVar = ["energy", "free_energy", "forces"]

    def __init__(self, at_rest: Atoms) -> None:
        super().__init__()
        self.at_rest = at_rest.positions.copy()
        n = len(at_rest)
        matrix = np.zeros((n, 3, n, 3))
        i, j, r, vectors = neighbour_list("ijdD", at_rest, 1.2 * D)
        for a, b, unit in zip(i, j, vectors / r[:, None]):
            matrix[a, :, a] += K * np.outer(unit, unit)
            matrix[a, :, b] -= K * np.outer(unit, unit)
        self.matrix = matrix.reshape(3 * n, 3 * n)

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        u = (self.atoms.positions - self.at_rest).ravel()
        forces = -self.matrix @ u
        energy = -0.5 * float(u @ forces)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces.reshape(-1, 3)}


def fcc(cubic: bool = True, symbol: str = "Ar") -> Atoms:
    return bulk(symbol, "fcc", a=A, cubic=cubic)


def frequencies(q: np.ndarray, mass: float) -> np.ndarray:
    """Of fcc springs at a Cartesian wave vector (2π included): D(q) = (k/m) Σ r̂⊗r̂ (1 - cos q·r), in THz."""
    steps = [s for s in np.ndindex(3, 3, 3) if sorted(abs(x - 1) for x in s) == [0, 1, 1]]
    vectors = A / 2 * (np.array(steps) - 1)
    units = vectors / D
    matrix = sum(np.outer(u, u) * (1 - np.cos(q @ v)) for u, v in zip(units, vectors))
    return np.sqrt(np.abs(np.linalg.eigvalsh(K / mass * matrix))) * THZ
