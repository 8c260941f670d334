"""Molecular dynamics of one molecule with any ASE calculator: frames for labelling, and velocities for spectra."""

from typing import Any

import numpy as np
from ase import Atoms, units
from ase.md.md import MolecularDynamics
from ase.md.velocitydistribution import ZeroRotation
from ase.md.verlet import VelocityVerlet

from equipot.simulation.dynamics import Ensemble, integrator, set_velocities

TIMESTEP = 0.5  # fs
WARM_UP = 500  # fs, at most; a shorter run has a warm-up of its own length
INTERVAL = 2.0  # fs between two velocities: frequencies up to 8000 1/cm


def warm(atoms: Atoms, temperature: float, length: float, rng: np.random.Generator) -> MolecularDynamics:
    """Return Langevin dynamics of a molecule that has reached the temperature, for a run of this length (fs)."""
    set_velocities(atoms, temperature, rng)
    dynamics = integrator(atoms, Ensemble("nvt", TIMESTEP, temperature, thermostat="langevin"), rng)
    dynamics.run(round(min(WARM_UP, length) / TIMESTEP))
    return dynamics


def sample(
    atoms: Atoms, calculator: Any, temperature: float, count: int, apart: float, seed: int
) -> list[Atoms]:
    """Return frames of a run with a thermostat that are `apart` fs from each other; the molecule is not changed."""
    moving = atoms.copy()
    moving.calc = calculator
    dynamics = warm(moving, temperature, count * apart, np.random.default_rng(seed))
    frames = []
    for _ in range(count):
        dynamics.run(round(apart / TIMESTEP))
        frames.append(Atoms(moving.numbers, moving.positions - moving.get_center_of_mass()))
    return frames


def velocities(
    atoms: Atoms, calculator: Any, temperature: float, duration: float, count: int, seed: int
) -> list[np.ndarray]:
    """Return velocities of runs at constant energy, each of `duration` ps. Shape of each: (n_frames, n_atoms, 3).

    Each run starts after a thermostat, because the modes of a small molecule hardly exchange energy. The molecule does
    not rotate: a rotation would broaden the bands.
    """
    moving = atoms.copy()
    moving.calc = calculator
    rng = np.random.default_rng(seed)
    runs = []
    for _ in range(count):
        warm(moving, temperature, 1000 * duration, rng)
        ZeroRotation(moving)
        frames: list[np.ndarray] = []
        dynamics = VelocityVerlet(moving, TIMESTEP * units.fs)
        for _ in range(round(1000 * duration / INTERVAL)):
            dynamics.run(round(INTERVAL / TIMESTEP))
            frames.append(moving.get_velocities())
        runs.append(np.array(frames))
    return runs
