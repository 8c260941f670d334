"""What is measured: properties of a crystal as in `equipot report`, and the time of a step of all models by turns."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from benchmarks.timing import interleave
from equipot.calculators import EquipotCalculator
from equipot.errors import EquipotError
from equipot.properties.elastic import elastic_constants
from equipot.properties.phonons import Bands, phonons
from equipot.properties.physics import equation_of_state
from equipot.report.crystal import NEAR, phonon_supercell
from equipot.report.section import Subject
from equipot.simulation.dynamics import Ensemble, integrator, set_velocities
from equipot.speed.structure import repeat

from .models import Model

EQUAL = 0.005  # THz, frequencies of one degenerate mode
TEMPERATURE = 600.0  # K, of atoms at rest on their sites; half of it is left after some tens of steps
Values = dict[str, Any]


def properties(atoms: Atoms, calculator: Calculator) -> Values:
    """Return the figures of a cubic crystal: those of the report, and phonon frequencies at X.

    The keys are those of `Published`; also supercell, the repeats for the phonons, and imaginary, sentences about
    imaginary modes. If equipot raises an error, as for a crystal that does not relax, there is only its text: error.
    """
    subject = Subject(calculator, [], atoms, "", str(atoms.symbols), [], [])
    try:
        rest = subject.crystal_at_rest().atoms
        eos = equation_of_state(rest, calculator, np.linspace(-NEAR, NEAR, 9))
        constants = elastic_constants(rest, calculator).independent()
        supercell = phonon_supercell(rest, subject.max_phonon_atoms)
        vibrations = phonons(rest, calculator, supercell)
    except EquipotError as error:
        return {"error": str(error)}
    return {
        "a": float(rest.cell.lengths()[0]),
        "bulk_modulus": eos["bulk_modulus"],
        **{key.lower(): value for key, value in constants.items()},
        "gamma": float(vibrations.gamma.max()),
        "at_x": at_point(vibrations.bands, "X"),
        "imaginary": [mode.sentence() for mode in vibrations.imaginary],
        "supercell": list(supercell),
    }


def at_point(bands: Bands, name: str) -> list[float]:
    """Return the frequencies at a special point in ascending order, equal ones once."""
    place = next(x for x, tick in bands.ticks if tick == name)
    last = next(f[-1] for x, f in zip(bands.distances, bands.frequencies) if abs(x[-1] - place) < 1e-9)
    different: list[float] = []
    for f in sorted(map(float, last)):
        if not different or f - different[-1] > EQUAL:
            different.append(f)
    return different


def stepper(path: Path, atoms: Atoms) -> Callable[[int], float]:
    """Return a function that makes n steps of molecular dynamics and returns the processor seconds of one."""
    moving = atoms.copy()
    moving.calc = EquipotCalculator(path)
    rng = np.random.default_rng(1)
    set_velocities(moving, TEMPERATURE, rng)
    dynamics = integrator(moving, Ensemble("nve", 1.0), rng)

    def steps(n: int) -> float:
        start = time.process_time()
        dynamics.run(n)
        return (time.process_time() - start) / n

    return steps


def step_times(
    models: Mapping[str, Model], atoms: Atoms, n_atoms: int, rounds: int, round_seconds: float
) -> dict[str, Values]:
    """Return processor seconds per step, median and minimum of the turns, of models that can compute the crystal."""
    cell = repeat(atoms, n_atoms)
    sides = {name: stepper(model.path, cell) for name, model in models.items()}
    times, _ = interleave(sides, rounds, round_seconds, failures=(EquipotError,))
    return {
        name: {"atoms": len(cell), "median": t.median, "minimum": t.minimum, "turns": t.rounds}
        for name, t in times.items()
    }
