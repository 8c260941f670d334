"""A short molecular dynamics run as a measurement: how well energy is conserved, where atoms are, how long it takes."""

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
    """A run at constant energy, after one with a thermostat."""

    timestep: float  # fs
    times: np.ndarray  # Shape: (n_steps + 1,), ps
    temperatures: np.ndarray  # Shape: (n_steps + 1,), K
    energies: np.ndarray  # Shape: (n_steps + 1,), total, eV/atom
    pressures: np.ndarray | None  # Shape: (n_steps + 1,), GPa
    seconds_per_step: float  # wall time
    frames: list[Atoms] = field(repr=False)  # evenly spaced

    @property
    def drift(self) -> float:
        """Slope of the total energy, by least squares: eV/atom/ps."""
        return float(np.polyfit(self.times, self.energies, 1)[0])

    @property
    def deviation(self) -> float:
        """Standard deviation of the total energy around that slope, eV/atom."""
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
    """Velocities at a temperature (K), some ps with a thermostat (Bussi), then constant energy for `duration` ps.

    timestep: fs. The atoms are not changed. Raises DataError for a run of less than three steps, NumericsError for one
    that explodes, and the calculator's errors.
    """
    n_steps, before = round(duration * 1000 / timestep), round(equilibration * 1000 / timestep)
    if n_steps < 3:
        raise DataError(
            f"{duration:g} ps with steps of {timestep:g} fs are {n_steps} steps; give a longer time"
        )
    moving = atoms.copy()
    moving.calc = calculator
    rng = np.random.default_rng(seed)
    # Half of the heat goes into the bonds at once, of which a crystal at rest has none.
    set_velocities(moving, 2 * temperature, rng)
    thermostat = Ensemble("nvt", timestep, temperature, thermostat_time=max(50.0, 5 * timestep))
    simulate(integrator(moving, thermostat, rng), before)
    moving.set_constraint(atoms.constraints)
    seen: list[Observation] = []
    frames: list[Atoms] = []
    dynamics = integrator(moving, Ensemble("nve", timestep), rng)
    start = time.perf_counter()
    simulate(
        dynamics,
        n_steps,
        each=seen.append,
        keep=lambda _: frames.append(
            Atoms(moving.symbols, moving.positions, cell=moving.cell, pbc=moving.pbc)
        ),
        keep_interval=max(1, n_steps // FRAMES),
    )
    seconds = time.perf_counter() - start
    pressures = [s.pressure_GPa for s in seen]
    return Motion(
        timestep=timestep,
        times=np.array([s.time_ps for s in seen]),
        temperatures=np.array([s.temperature_K for s in seen]),
        energies=np.array([s.total_eV for s in seen]) / len(moving),
        pressures=None if None in pressures else np.array(pressures, dtype=np.float64),
        seconds_per_step=seconds / n_steps,
        frames=frames,
    )
