"""Relaxation of atoms and cell with ASE's optimizers, with separate criteria for forces and stress."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.constraints import FixSymmetry
from ase.optimize import BFGS, FIRE, LBFGS

from equipot.errors import ConfigError, DataError, NumericsError
from equipot.simulation.cell_filter import CELLS, CellFilter, Strains
from equipot.simulation.structures import has_stress, pressure_of
from equipot.structures.symmetry import TOLERANCE, space_group

OPTIMIZERS = {"LBFGS": LBFGS, "BFGS": BFGS, "FIRE": FIRE}


@dataclass(frozen=True)
class State:
    """The state of a relaxation after a step."""

    step: int
    energy: float  # eV
    fmax: float  # eV/Å, length of the largest force
    pressure: float | None  # GPa, minus the mean stress along the periodic directions; None without a volume
    excess: float  # GPa, largest component of the stress that may still relax; 0 for a fixed cell
    volume: float | None  # Å³


@dataclass(frozen=True)
class Relaxed:
    """The result of a relaxation."""

    atoms: Atoms  # with their calculator
    converged: bool
    start: State
    end: State


def relax(
    atoms: Atoms,
    calculator: Any,
    *,
    fmax: float = 0.01,
    smax: float = 0.01,
    cell: str = "none",
    pressure: float = 0.0,
    steps: int = 500,
    optimizer: str = "LBFGS",
    symmetry: bool = False,
    each_step: Callable[[State, Atoms], object] | None = None,
) -> Relaxed:
    """Relax atoms, and optionally the cell, to a minimum of the energy (under pressure, of the enthalpy).

    Args:
        atoms: the structure; it is not changed, and its fixed atoms stay fixed
        calculator: any ASE calculator
        fmax: eV/Å, the largest force at convergence
        smax: GPa, the largest deviation from the pressure at convergence, of stress components that the cell can relax
        cell: "none"; "full"; "isotropic", which keeps the shape; "volume", which keeps the volume; "xy", in the plane.
            The cell of a layer strains in its plane alone.
        pressure: GPa
        steps: the largest number of steps
        optimizer: "LBFGS", "BFGS" or "FIRE"
        symmetry: preserve the space group, found with a tolerance of 0.01 Å
        each_step: called with each state, including the first

    Raise ConfigError for invalid options, DataError for a cell to relax that has no volume,
    NumericsError when the symmetry cannot be preserved, and the calculator's errors.
    """
    check_options(fmax, smax, cell, pressure, steps, optimizer)
    check_structure(atoms, calculator, cell, symmetry)
    moving = atoms.copy()
    if symmetry:
        moving.set_constraint([*moving.constraints, FixSymmetry(moving, symprec=TOLERANCE)])
    moving.calc = calculator
    target: Any = moving
    strains = None if cell == "none" else Strains.of(moving, cell)
    if strains is not None:
        target = CellFilter(moving, strains, pressure * units.GPa)
    search = OPTIMIZERS[optimizer](target, logfile=None)
    start = state = _state(moving, 0, strains, pressure)
    converged = False
    try:
        # ASE's criterion is one number for forces and cell, so it is switched off (fmax=0).
        for _ in _quiet(search.irun(fmax=0.0, steps=steps)):
            state = _state(moving, search.nsteps, strains, pressure)
            if each_step is not None:
                each_step(state, moving)
            converged = state.fmax <= fmax and state.excess <= smax
            if converged:
                break
    except RuntimeError as error:
        if "adjust_cell" not in str(error):
            raise
        raise NumericsError(
            "the cell changes too much in one step to preserve its symmetry; relax it without symmetry, or start "
            "closer to the minimum"
        ) from None
    # If a vector across a layer is not perpendicular to it, strain has moved its component in the plane.
    moving.cell[~moving.pbc] = atoms.cell[~atoms.pbc]
    if symmetry:
        moving.set_constraint(atoms.constraints)
    return Relaxed(moving, converged, start, state)


def _quiet(search: Iterator[Any]) -> Iterator[Any]:
    """Run a search without two warnings at every step.

    scipy warns that a matrix logarithm may be wrong by 1e-12. ASE warns that a large step of the cell may not preserve
    its symmetry well, which the final structure would show.
    """
    while True:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="logm result may be inaccurate")
            warnings.filterwarnings("ignore", message="FixSymmetry adjust_cell may be ill behaved")
            try:
                value = next(search)
            except StopIteration:
                return
        yield value


def _state(atoms: Atoms, step: int, strains: Strains | None, pressure: float) -> State:
    forces = atoms.get_forces()
    largest = float(np.sqrt(np.square(forces).sum(axis=1).max(initial=0.0)))
    if not has_stress(atoms):
        return State(step, atoms.get_potential_energy(), largest, None, 0.0, None)
    stress = atoms.get_stress(voigt=False) / units.GPa
    excess = 0.0 if strains is None else float(np.abs(strains.along(stress + pressure * np.eye(3))).max())
    volume = float(atoms.get_volume())
    return State(step, atoms.get_potential_energy(), largest, pressure_of(atoms, stress), excess, volume)


def check_options(fmax: float, smax: float, cell: str, pressure: float, steps: int, optimizer: str) -> None:
    """Raise ConfigError for options of `relax` that are invalid for every structure."""
    if optimizer not in OPTIMIZERS:
        raise ConfigError(f"the optimizer is '{optimizer}'; expected one of {', '.join(OPTIMIZERS)}")
    if cell not in CELLS:
        raise ConfigError(f"the cell is '{cell}'; expected one of {', '.join(CELLS)}")
    for name, value, unit in (("fmax", fmax, "eV/Å"), ("smax", smax, "GPa")):
        if not value > 0:
            raise ConfigError(f"{name} is {value:g}; expected a positive number in {unit}")
    if not np.isfinite(pressure):
        raise ConfigError(f"the pressure is {pressure}; expected a number in GPa")
    if pressure != 0 and cell in ("none", "volume"):
        raise ConfigError(
            f"a pressure of {pressure:g} GPa is given, but the cell ('{cell}') cannot follow it; "
            "relax it fully or isotropically (--cell full, --cell isotropic)"
        )
    if steps < 0:
        raise ConfigError(f"the number of steps is {steps}; expected 0 or more")


def check_structure(atoms: Atoms, calculator: Any, cell: str, symmetry: bool) -> None:
    """Raise DataError, before anything is computed, for a structure that `relax` cannot take with these options."""
    if len(atoms) == 0:
        raise DataError("the structure holds no atoms")
    if cell != "none":
        Strains.of(atoms, cell)
    if cell != "none" and "stress" not in getattr(calculator, "implemented_properties", ()):
        raise DataError("the cell cannot be relaxed: the calculator has no stress")
    if symmetry:
        space_group(atoms)
