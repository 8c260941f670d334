"""Tasks for an ASE calculator: results of structures, and steps of one that moves. Needs ase, numpy and torch alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.io import read

from benchmarks.peers.job import Job

# Atoms move by AMPLITUDE (root mean square, Å) in STEPS steps and back: silicon's way in 50 fs at 300 K. With a skin of
# 1 Å neighbours are searched about once in 45 steps; in molecular dynamics it is once in 17 (of a liquid) to 400 (of a
# crystal).
AMPLITUDE, STEPS = 0.25, 50
Request = dict[str, Any]


def calculator_tasks(calculator: Callable[[Request], Calculator]) -> dict[str, Callable[[Request], Job]]:
    """Return the tasks for the calculator that a request describes.

    results : {"structures": file, "results": file}: one call writes all results
    steps : {"structures": file, "index": of a structure}: one call makes one step
    """

    def results(request: Request) -> Job:
        frames = read(request["structures"], ":")
        call = results_writer(frames, calculator(request), request["results"])
        return Job(call, sum(map(len, frames)))

    def steps(request: Request) -> Job:
        atoms = read(request["structures"], request["index"])
        return Job(stepper(atoms, calculator(request)), len(atoms))

    return {"results": results, "steps": steps}


def results_writer(frames: list[Atoms], calculator: Calculator, file: str) -> Callable[[], None]:
    """Return a function that writes energies, forces and stresses as `energy_0`, `forces_0`, `stress_0`, …."""

    def call() -> None:
        results = {}
        for k, atoms in enumerate(frames):
            atoms.calc = calculator
            results[f"energy_{k}"] = atoms.get_potential_energy()
            results[f"forces_{k}"] = atoms.get_forces()
            if atoms.pbc.all():
                results[f"stress_{k}"] = atoms.get_stress()
        np.savez(file, **results)

    return call


def stepper(atoms: Atoms, calculator: Calculator) -> Callable[[], None]:
    """Return a function that moves all atoms a little, so that no result is reused, and computes all results."""
    atoms.calc = calculator
    start, periodic = atoms.positions.copy(), atoms.pbc.all()
    displacement = np.random.default_rng(1).normal(0.0, AMPLITUDE / np.sqrt(3), start.shape)
    n_steps = 0

    def call() -> None:
        nonlocal n_steps
        n_steps += 1
        atoms.positions = start + abs((n_steps + STEPS) % (2 * STEPS) - STEPS) / STEPS * displacement
        atoms.get_forces()
        atoms.get_potential_energy()
        if periodic:
            atoms.get_stress()

    return call
