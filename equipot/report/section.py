"""The parts of a report's section, and the subject of a report."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from ase import Atoms

from equipot.calculators import EquipotCalculator
from equipot.errors import DataError, NumericsError
from equipot.neighbours.cell import volume_of
from equipot.simulation.relaxation import Relaxed, relax
from equipot.structures.frame import Frame

FMAX, SMAX, STEPS = 1e-3, 0.01, 500


@dataclass(frozen=True)
class Grid:
    """A table of texts."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True)
class Figure:
    """A number for the summary."""

    name: str
    value: float
    unit: str
    dft: float | None = None  # value from DFT labels
    form: str = ".4g"


@dataclass
class Section:
    """A section of the page. If `missing` has a reason, the section has no contents."""

    title: str
    about: str = ""
    figures: list[Figure] = field(default_factory=list)
    tables: list[Grid] = field(default_factory=list)
    images: list[tuple[str, bytes]] = field(default_factory=list)  # title, PNG
    remarks: list[str] = field(default_factory=list)
    missing: str = ""
    failed: bool = False  # whether the section is missing due to an error in the program
    seconds: float = 0.0


@dataclass
class Subject:
    """The model and the structures of a report. Sections do not change it."""

    calculator: EquipotCalculator
    elements: list[str]  # elements of the pair curves
    crystal: Atoms | None  # structure before the relaxation; a molecule or a layer has only dynamics
    no_crystal_reason: str  # reason why there is no crystal
    crystal_source: str
    frames: list[Frame]  # labelled; may be empty
    files: list[str]  # files of the frames
    temperature: float = 300.0  # K
    duration: float = 2.0  # ps
    timestep: float = 1.0  # fs
    md_atoms: int = 200
    max_phonon_atoms: int = 1000  # largest number of atoms in the phonon supercell

    @cached_property
    def _relaxation(self) -> Relaxed | str:
        assert self.crystal is not None
        periodic = bool(self.crystal.pbc.all())
        has_volume = not np.isnan(volume_of(self.crystal.cell.array, self.crystal.pbc))
        cell = "full" if has_volume else "none"
        try:
            relaxed = relax(
                self.crystal, self.calculator, fmax=FMAX, smax=SMAX, cell=cell, steps=STEPS, symmetry=periodic
            )
        except (DataError, NumericsError) as error:
            return f"the structure cannot be relaxed: {error}"
        if not relaxed.converged:
            return f"the structure did not relax in {STEPS} steps: forces {relaxed.end.fmax:.2g} eV/Å" + (
                f", stress {relaxed.end.excess:.2g} GPa" if has_volume else ""
            )
        return relaxed

    def at_rest(self) -> Relaxed:
        """Return the relaxed structure, computed once. A crystal keeps its space group.

        Raises:
            DataError: there is no structure, or it cannot be relaxed.
        """
        if self.crystal is None:
            raise DataError(self.no_crystal_reason)
        relaxed = self._relaxation
        if isinstance(relaxed, str):
            raise DataError(relaxed)
        return relaxed

    def crystal_at_rest(self) -> Relaxed:
        """Return the relaxed crystal. Raise DataError for a structure that is not periodic in all directions."""
        if self.crystal is not None and not self.crystal.pbc.all():
            raise DataError(
                f"{self.crystal_source} is not periodic in all three directions, so it is not a crystal"
            )
        return self.at_rest()

    def cutoff_of(self, a: str, b: str) -> float:
        """Return the cutoff (Å) of two elements."""
        return self.calculator.model.metadata.cutoffs.of(a, b)
