"""A short molecular dynamics run that measures conservation of energy, structure and time per step."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

from equipot.errors import DataError
from equipot.simulation.dynamics import Ensemble, integrator, set_velocities
from equipot.simulation.md_files import Observation
from equipot.simulation.simulation import simulate

FRAMES = 50


@dataclass(frozen=True)
class Motion:
    """The record of a run at constant energy, which followed a run with a thermostat."""

    timestep: float  # fs
    times: np.ndarray  # Shape: (n_steps + 1,), ps
    temperatures: np.ndarray  # Shape: (n_steps + 1,), K
    energies: np.ndarray  # Shape: (n_steps + 1,), total, eV/atom
    pressures: np.ndarray | None  # Shape: (n_steps + 1,), GPa
    seconds_per_step: float  # wall time
    frames: list[Atoms] = field(repr=False)  # evenly spaced

    @property
    def drift(self) -> float:
        """The slope of the total energy by least squares, eV/atom/ps."""
        return float(np.polyfit(self.times, self.energies, 1)[0])

    @property
    def deviation(self) -> float:
        """The standard deviation of the total energy from its linear fit, eV/atom."""
        return float(np.std(self.energies - np.polyval(np.polyfit(self.times, self.energies, 1), self.times)))


def measure_motion(
    atoms: Atoms,
    calculator: Any,
    temperature: float = 300.0,
    duration: float = 2.0,
    timestep: float = 1.0,
    equilibration: float = 0.5,
    seed: int = 1,
) -> Motion:
    """Run molecular dynamics at constant energy for `duration` ps and return its record.

    Before it, the atoms get velocities at a temperature (K) and run with a Bussi thermostat for `equilibration` ps.
    timestep: fs. The atoms are not changed. Raise DataError for a run of less than three steps, NumericsError for a run
    that explodes, and the calculator's errors.
    """
    n_steps, before = round(duration * 1000 / timestep), round(equilibration * 1000 / timestep)
    if n_steps < 3:
        raise DataError(
            f"{duration:g} ps with steps of {timestep:g} fs are {n_steps} steps, fewer than 3; give a longer time"
        )
    moving = atoms.copy()
    moving.calc = calculator
    rng = np.random.default_rng(seed)
    # A crystal at rest has no potential energy of vibration: half of the heat goes there at once.
    set_velocities(moving, 2 * temperature, rng)
    thermostat = Ensemble("nvt", timestep, temperature, thermostat_time=max(50.0, 5 * timestep))
    simulate(integrator(moving, thermostat, rng), before)
    moving.set_constraint(atoms.constraints)
    observations: list[Observation] = []
    frames: list[Atoms] = []
    dynamics = integrator(moving, Ensemble("nve", timestep), rng)
    start = time.perf_counter()
    simulate(
        dynamics,
        n_steps,
        each=observations.append,
        keep=lambda _: frames.append(
            Atoms(moving.symbols, moving.positions, cell=moving.cell, pbc=moving.pbc)
        ),
        keep_interval=max(1, n_steps // FRAMES),
    )
    seconds = time.perf_counter() - start
    pressures = [s.pressure_GPa for s in observations]
    return Motion(
        timestep=timestep,
        times=np.array([s.time_ps for s in observations]),
        temperatures=np.array([s.temperature_K for s in observations]),
        energies=np.array([s.total_eV for s in observations]) / len(moving),
        pressures=None if None in pressures else np.array(pressures, dtype=np.float64),
        seconds_per_step=seconds / n_steps,
        frames=frames,
    )
