"""Elastic constants from the stress at small strains: of any crystal, with its symmetry, and of cubic ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms, units
from matscipy.elasticity import rotate_elastic_constants

from equipot.errors import ConfigError, DataError, NumericsError
from equipot.properties.physics import deformed
from equipot.simulation.relaxation import relax
from equipot.structures.symmetry import space_group

# Voigt's order of pairs, as in ASE.
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
# Independent constants by crystal system, in its usual axes; classes of lower symmetry have some more.
INDEPENDENT = {
    "cubic": ("11", "12", "44"),
    "hexagonal": ("11", "12", "13", "33", "44"),
    "trigonal": ("11", "12", "13", "14", "15", "33", "44"),
    "tetragonal": ("11", "12", "13", "16", "33", "44", "66"),
    "orthorhombic": ("11", "12", "13", "22", "23", "33", "44", "55", "66"),
}
SOMETIMES = ("14", "15", "16")
# A relaxed crystal has its symmetry within a tolerance, and so are its rotations orthogonal.
NEARLY = 0.05
LAST_GROUP = {
    2: "triclinic",
    15: "monoclinic",
    74: "orthorhombic",
    142: "tetragonal",
    167: "trigonal",
    194: "hexagonal",
}


@dataclass(frozen=True)
class Elastic:
    """Stiffness of a crystal."""

    tensor: np.ndarray  # Shape: (6, 6), GPa, symmetric
    system: str  # "cubic", …; the tensor is in the usual axes of the system
    asymmetry: float  # GPa, by how much the tensor changed when its symmetry was imposed

    def independent(self) -> dict[str, float]:
        """Return names and values (GPa) of the independent constants of the crystal system."""
        if self.system not in INDEPENDENT:
            names = tuple(f"{i + 1}{j + 1}" for i in range(6) for j in range(i, 6))
        else:
            # Constants that only the lower classes of a system have are named if they are not zero.
            low = 0.01 * self.tensor.max()
            names = tuple(n for n in INDEPENDENT[self.system] if n not in SOMETIMES or abs(self._of(n)) > low)
        return {f"C{n}": self._of(n) for n in names}

    def _of(self, name: str) -> float:
        return float(self.tensor[int(name[0]) - 1, int(name[1]) - 1])

    def moduli(self) -> dict[str, float]:
        """Return the polycrystalline averages after Hill (GPa): bulk, shear and Young's modulus; Poisson's ratio."""
        c, s = self.tensor, np.linalg.inv(self.tensor)
        (diagonal, off, shear), (s_diagonal, s_off, s_shear) = _sums(c), _sums(s)
        bulk = 0.5 * ((diagonal + 2 * off) / 9 + 1 / (s_diagonal + 2 * s_off))
        voigt = (diagonal - off + 3 * shear) / 15
        reuss = 15 / (4 * s_diagonal - 4 * s_off + 3 * s_shear)
        mu = 0.5 * (voigt + reuss)
        young = 9 * bulk * mu / (3 * bulk + mu)
        return {"bulk": bulk, "shear": mu, "Young": young, "Poisson": young / (2 * mu) - 1}

    @property
    def stable(self) -> bool:
        """True if every small strain increases the energy (Born's criterion)."""
        return bool(np.linalg.eigvalsh(self.tensor).min() > 0)


def _sums(t: np.ndarray) -> tuple[float, float, float]:
    return float(np.trace(t[:3, :3])), float(t[0, 1] + t[0, 2] + t[1, 2]), float(np.trace(t[3:, 3:]))


def elastic_constants(
    atoms: Atoms, calculator: Any, delta: float = 0.005, fmax: float = 0.001, max_steps: int = 200
) -> Elastic:
    """All elastic constants of a crystal at rest, its atoms relaxed under every strain.

    Args:
        atoms: crystal without forces and stress
        delta: strain, used with both signs, of each of Voigt's six kinds
        fmax, max_steps: eV/Å; of the relaxations

    The tensor is averaged over the point group and turned into the crystal system's usual axes (both need spglib).
    Raises ConfigError where spglib is missing, DataError for what is no crystal, NumericsError when a relaxation does
    not converge.
    """
    _check_crystal(atoms)
    rotations, turn, system = _symmetry(atoms)  # fails, where it does, before the relaxations
    tensor = elastic_tensor(atoms, calculator, delta, fmax, max_steps)
    if not tensor.any():
        raise NumericsError(
            "no strain causes a stress; the atoms are farther apart than the calculator's cutoff"
        )
    symmetric = 0.5 * (tensor + tensor.T)
    averaged = np.mean([rotate_elastic_constants(symmetric, r, tol=NEARLY) for r in rotations], axis=0)
    return Elastic(
        rotate_elastic_constants(averaged, turn, tol=NEARLY), system, float(np.abs(averaged - tensor).max())
    )


def elastic_tensor(
    atoms: Atoms,
    calculator: Any,
    delta: float = 0.005,
    fmax: float = 0.001,
    max_steps: int = 200,
    relaxed: bool = True,
) -> np.ndarray:
    """(6, 6) GPa in the axes of the atoms, as the stress gives it; a column per engineering strain.

    relaxed: False for atoms that follow the strain ("clamped"). Raises as `elastic_constants` does.
    """
    _check_crystal(atoms)
    if not 0 < delta < 0.2:
        raise ConfigError(f"the strain is {delta:g}; expected a small positive number, e.g. 0.005")
    columns = []
    for i, j in VOIGT:
        strain = np.zeros((3, 3))
        strain[i, j] = strain[j, i] = delta if i == j else delta / 2
        columns.append(_slope(atoms, calculator, strain, delta, fmax if relaxed else None, max_steps))
    return np.stack(columns, axis=1)


def _check_crystal(atoms: Atoms) -> None:
    if not atoms.pbc.all() or len(atoms) == 0:
        raise DataError(
            "elastic constants are those of a crystal; the structure is not periodic in all directions"
        )


def elastic_constants_cubic(
    atoms: Atoms, calculator: Any, delta: float = 0.01, fmax: float = 0.001, max_steps: int = 200
) -> dict[str, float]:
    """C11, C12, C44 of a cubic crystal (GPa) from the stress at small strains.

    Args:
        atoms: at rest, with cubic axes along x, y, z
        delta: strain, used with both signs; for C44 it is the engineering shear γ_xy = 2 ε_xy
        fmax, max_steps: eV/Å; relaxation of the atoms in the sheared cell

    Returns:
        dict of C11, C12, C44 and C44_clamped, the latter with atoms that follow the strain without relaxing.
        (Under ε_xx no atom of a crystal like diamond has a force to follow, so C11 and C12 need no relaxation;
        where symmetry lets it have one, atoms are relaxed too.) Raises NumericsError when a relaxation does not
        converge.
    """
    tension, shear = np.zeros((3, 3)), np.zeros((3, 3))
    tension[0, 0] = delta
    shear[0, 1] = shear[1, 0] = delta / 2
    columns = _slope(atoms, calculator, tension, delta, fmax, max_steps)
    return {
        "C11": float(columns[0]),
        "C12": float(columns[1:3].mean()),
        "C44": float(_slope(atoms, calculator, shear, delta, fmax, max_steps)[5]),
        "C44_clamped": float(_slope(atoms, calculator, shear, delta, None, max_steps)[5]),
    }


def _slope(
    atoms: Atoms, calculator: Any, strain: np.ndarray, delta: float, fmax: float | None, max_steps: int
) -> np.ndarray:
    """Return the derivative of the stress (6,) GPa by central differences; without fmax, atoms follow the strain."""
    both = []
    for sign in (1, -1):
        strained = deformed(atoms, calculator, np.eye(3) + sign * strain)
        if fmax is not None:
            relaxed = relax(strained, calculator, fmax=fmax, steps=max_steps)
            if not relaxed.converged:
                raise NumericsError(
                    f"the strained crystal did not relax to {fmax} eV/Å in {max_steps} steps; "
                    "start from a crystal at rest"
                )
            strained = relaxed.atoms
        both.append(strained.get_stress() / units.GPa)
    return (both[0] - both[1]) / (2 * delta)


def _symmetry(atoms: Atoms) -> tuple[list[np.ndarray], np.ndarray, str]:
    """Return the rotations of the point group, the rotation to the standard axes, and the crystal system."""
    lattice, group = atoms.cell.array.T, space_group(atoms)
    rotations = [lattice @ w @ np.linalg.inv(lattice) for w in group.rotations]
    system = next((name for last, name in LAST_GROUP.items() if group.number <= last), "cubic")
    return rotations, np.asarray(group.std_rotation_matrix), system
