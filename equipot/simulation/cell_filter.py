"""The strain that a relaxation gives a cell: which directions take part, and what of the shape is kept."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.filters import FrechetCellFilter

from equipot.errors import DataError
from equipot.neighbours.cell import NO_VOLUME, periodic_axes, volume_of

CELLS = ("none", "full", "isotropic", "volume", "xy")


@dataclass(frozen=True)
class Strains:
    """The strains that a relaxation may give a cell.

    A cell strains only along its periodic directions: those of a layer are a plane, and its third vector stays.

    Attributes:
        axes: (n, 3), orthonormal vectors of the directions that strain.
        kind: all strains of these directions, those of their common length, or those that keep their volume or area.
    """

    axes: np.ndarray
    kind: Literal["full", "isotropic", "volume"]

    @classmethod
    def of(cls, atoms: Atoms, cell: str) -> "Strains":
        """Return the strains of a structure for the option `cell` of a relaxation.

        Raise DataError for a structure without a volume, or one that is not periodic in the plane to relax.
        """
        if np.isnan(volume_of(atoms.cell.array, atoms.pbc)):
            raise DataError(
                f"the cell cannot be relaxed, because the structure has no volume; {NO_VOLUME}; use --cell none"
            )
        axes = periodic_axes(atoms.cell.array, atoms.pbc)
        if cell == "xy":
            plane = np.eye(3)[:2]
            if np.abs(plane - plane @ axes.T @ axes).max() > 1e-6:
                raise DataError(
                    "the cell cannot be relaxed along x and y, because the structure is not periodic in this plane; "
                    "use --cell full, which relaxes the periodic directions"
                )
            return cls(plane, "full")
        return cls(axes, cell)  # type: ignore[arg-type]

    def along(self, tensor: np.ndarray) -> np.ndarray:
        """Return the part of a tensor (3, 3) that these strains can change, (n, n), in the basis of the axes."""
        n = len(self.axes)
        part = self.axes @ tensor @ self.axes.T
        mean = np.trace(part) / n * np.eye(n)
        return mean if self.kind == "isotropic" else part - mean if self.kind == "volume" else part

    def projected(self, tensor: np.ndarray) -> np.ndarray:
        """Return that part of a tensor (3, 3) in the Cartesian axes, (3, 3)."""
        return self.axes.T @ self.along(tensor) @ self.axes


class CellFilter(FrechetCellFilter):
    """ASE's filter for atoms and cell, whose cell takes only the given strains.

    The filter's variables of the cell are the logarithm of its deformation. Its generalised force is projected, so that
    all steps have this form: a deformation by exp(εt) for a symmetric strain ε of the axes leaves all vectors that are
    perpendicular to them as they are.

    Args:
        atoms: structure with a calculator; it is moved.
        strains: the strains of the cell.
        pressure: eV/Å³.
    """

    def __init__(self, atoms: Atoms, strains: Strains, pressure: float = 0.0) -> None:
        super().__init__(atoms, scalar_pressure=pressure)
        self.strains = strains

    def get_forces(self, **options: Any) -> np.ndarray:
        """Return forces on the atoms and on the logarithm of the deformation, (n_atoms + 3, 3)."""
        forces = super().get_forces(**options)
        forces[-3:] = self.strains.projected(forces[-3:])
        return forces
