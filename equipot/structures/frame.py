"""A labelled structure, as it was read from a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from equipot.neighbours.cell import volume_of
from equipot.quantities import by_name


@dataclass(frozen=True, eq=False)
class Frame:
    """A structure with its labels. Their names and shapes are those of `equipot.quantities`.

    `labels` holds only the labels that the structure has. The stress has ASE's sign, positive under tension:
    stress = (1/volume) dE/dstrain.
    """

    numbers: np.ndarray  # Shape: (n_atoms,), int64, atomic numbers
    positions: np.ndarray  # Shape: (n_atoms, 3), Å
    cell: np.ndarray  # Shape: (3, 3), Å, rows are the cell vectors
    pbc: np.ndarray  # Shape: (3,), bool
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    config_type: str = "default"
    source: str = ""  # "file.extxyz#12": frame 12 of the file, counted from 0 as in ASE's `file@12`
    # Keys that look like labels but were not read, each with the label whose shape it has ("" for none).
    unread: tuple[tuple[str, str], ...] = ()
    energy_key: str = ""  # key from which the energy was read
    scf_converged: bool = True  # False if the electronic steps did not converge, according to the file
    charge_spin: tuple[tuple[str, float], ...] = ()  # values of the keys for charge and spin in the file

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def energy(self) -> float | None:
        """Total energy in eV; None without a label."""
        value = self.labels.get("energy")
        return None if value is None else float(value)

    @property
    def forces(self) -> np.ndarray | None:
        """Forces in eV/Å, shape (n_atoms, 3); None without a label."""
        return self.labels.get("forces")

    @property
    def stress(self) -> np.ndarray | None:
        """Stress in eV/Å³, shape (3, 3); None without a label."""
        return self.labels.get("stress")

    def relabelled(self, **labels: "np.ndarray | float | None") -> "Frame":
        """Return the frame with other labels; None removes one."""
        merged = {**self.labels, **{k: None if v is None else np.asarray(v) for k, v in labels.items()}}
        return replace(self, labels={k: v for k, v in merged.items() if v is not None})

    @property
    def volume(self) -> float:
        """Cell volume in Å³; NaN without one, see `volume_of`."""
        return volume_of(self.cell, self.pbc)

    def to_atoms(self) -> Atoms:
        """Return ASE Atoms with the labels in a SinglePointCalculator and the group in info["config_type"].

        The energy is also stored as `free_energy`, because the forces are its derivatives.
        """
        atoms = Atoms(self.numbers, positions=self.positions, cell=self.cell, pbc=self.pbc)
        atoms.info["config_type"] = self.config_type
        results = {name: as_ase(name, label) for name, label in self.labels.items()}
        if "energy" in results:
            results["free_energy"] = results["energy"]
        if results:
            atoms.calc = SinglePointCalculator(atoms, **results)
        return atoms


def as_ase(name: str, label: np.ndarray) -> float | np.ndarray:
    """Return a label in ASE's form: a number or an array, and for a stress the six components xx yy zz yz xz xy."""
    quantity = by_name(name)
    if quantity.per == "structure" and quantity.shape == (3, 3):
        return label[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    return label.copy() if label.ndim else float(label)


def config_types(frames: Sequence[Frame]) -> list[str]:
    """Return the sorted names of the groups in the frames."""
    return sorted({frame.config_type for frame in frames})
