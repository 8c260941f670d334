"""What a section of the page consists of, and what its makers are given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ase import Atoms

from equipot.calculators import EquipotCalculator
from equipot.errors import DataError, NumericsError
from equipot.simulation.relaxation import Relaxed, relax
from equipot.structures.frame import Frame

FMAX, SMAX, STEPS = 1e-3, 0.01, 500


@dataclass(frozen=True)
class Grid:
    """A table of strings."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True)
class Figure:
    """A number for the summary."""

    name: str
    value: float
    unit: str
    dft: float | None = None  # the same from DFT labels, where there are some
    form: str = ".4g"


@dataclass
class Section:
    """One subject of the page; `missing` says why there is nothing else."""

    title: str
    about: str = ""
    figures: list[Figure] = field(default_factory=list)
    tables: list[Grid] = field(default_factory=list)
    images: list[tuple[str, bytes]] = field(default_factory=list)  # what is to be seen, PNG
    remarks: list[str] = field(default_factory=list)
    missing: str = ""
    failed: bool = False  # missing because of an error in the program
    seconds: float = 0.0


@dataclass
class Subject:
    """What is reported on. Sections only read it."""

    calculator: EquipotCalculator
    elements: list[str]  # whose pairs are looked at
    crystal: Atoms | None  # as it was found; for dynamics alone a molecule or layer does too
    without_crystal: str  # why there is none
    crystal_source: str
    frames: list[Frame]  # labelled; may be empty
    files: list[str]  # where they are from
    temperature: float = 300.0  # K
    duration: float = 2.0  # ps
    timestep: float = 1.0  # fs
    atoms_in_motion: int = 200
    atoms_at_most: int = 1000  # in a supercell of phonons

    @cached_property
    def _relaxation(self) -> Relaxed | str:
        assert self.crystal is not None
        periodic = bool(self.crystal.pbc.all())
        cell = "full" if periodic else "none"
        try:
            found = relax(
                self.crystal, self.calculator, fmax=FMAX, smax=SMAX, cell=cell, steps=STEPS, symmetry=periodic
            )
        except (DataError, NumericsError) as error:
            return f"the structure cannot be relaxed: {error}"
        if not found.converged:
            return f"the structure did not relax in {STEPS} steps: forces {found.end.fmax:.2g} eV/Å" + (
                f", stress {found.end.excess:.2g} GPa" if periodic else ""
            )
        return found

    def at_rest(self) -> Relaxed:
        """The structure relaxed, a crystal in its symmetry; computed once. Raises DataError where there is none."""
        if self.crystal is None:
            raise DataError(self.without_crystal)
        found = self._relaxation
        if isinstance(found, str):
            raise DataError(found)
        return found

    def crystal_at_rest(self) -> Relaxed:
        """Likewise, for what only crystals have."""
        if self.crystal is not None and not self.crystal.pbc.all():
            raise DataError(
                f"{self.crystal_source} is not periodic in all three directions, so it is no crystal"
            )
        return self.at_rest()

    def cutoff_of(self, a: str, b: str) -> float:
        """Å."""
        return self.calculator.model.metadata.cutoffs.of(a, b)
