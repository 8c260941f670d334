"""One labelled structure, as it was read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator


@dataclass(frozen=True, eq=False)
class Frame:
    """A structure with whatever labels it has; a missing label is None, never zero.

    Stress has ASE's sign: positive under tension, stress = (1/volume) dE/dstrain.
    """

    numbers: np.ndarray  # Shape: (n_atoms,), int64, atomic numbers
    positions: np.ndarray  # Shape: (n_atoms, 3), Å
    cell: np.ndarray  # Shape: (3, 3), Å, rows are the cell vectors
    pbc: np.ndarray  # Shape: (3,), bool
    energy: float | None = None  # eV, of the whole structure
    forces: np.ndarray | None = None  # Shape: (n_atoms, 3), eV/Å
    stress: np.ndarray | None = None  # Shape: (3, 3), eV/Å³
    config_type: str = "default"
    source: str = ""  # "file.extxyz#12": frame 12 of the file, counted from 0 as in ASE's file@12
    # Keys that look like labels and were not read, each with the label whose shape it has ("" for none).
    unread: tuple[tuple[str, str], ...] = ()
    energy_key: str = ""  # the key the energy was read from
    scf_converged: bool = True  # False where the file says that the electrons did not converge
    charge_spin: tuple[tuple[str, float], ...] = ()  # charge, spin and the like, as the file gives them

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def volume(self) -> float:
        """Cell volume (Å³), NaN unless the frame is periodic in all three directions."""
        return abs(float(np.linalg.det(self.cell))) if self.pbc.all() else float("nan")

    def to_atoms(self) -> Atoms:
        """ASE Atoms; the labels lie in a SinglePointCalculator (energy also as free_energy: it is what forces
        are derivatives of), the group in info["config_type"]."""
        atoms = Atoms(self.numbers, positions=self.positions, cell=self.cell, pbc=self.pbc)
        atoms.info["config_type"] = self.config_type
        results: dict[str, float | np.ndarray] = {}
        if self.energy is not None:
            results["energy"] = results["free_energy"] = self.energy
        if self.forces is not None:
            results["forces"] = self.forces.copy()
        if self.stress is not None:
            results["stress"] = self.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        if results:
            atoms.calc = SinglePointCalculator(atoms, **results)
        return atoms


def config_types(frames: Sequence[Frame]) -> list[str]:
    """Names of the groups in the frames, sorted."""
    return sorted({frame.config_type for frame in frames})
