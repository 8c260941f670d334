"""What both sides are asked for: the results of structures, and steps of one that moves. ase and numpy alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.io import read
from peers.serve import Job

# How far atoms get (root mean square, Å) in how many steps until they turn round: silicon's in 50 fs at 300 K. With a
# skin of 1 Å neighbours are searched anew about once in 45 steps; in molecular dynamics it is once in 17 (of a
# liquid) to 400 (of a crystal).
WAY, STEPS = 0.25, 50


def prepare(request: dict[str, Any], calculator: Calculator) -> Job:
    """{"structures": file, "results": file to be written} or {"structures": file, "index": of the one that moves}."""
    frames = read(request["structures"], ":")
    if "results" in request:
        call = _results(frames, calculator, request["results"])
        return Job(call, sum(map(len, frames)), 0, 0)
    atoms = frames[request["index"]]
    return Job(_step(atoms, calculator), len(atoms), 0, 0)


def _results(frames: list[Atoms], calculator: Calculator, file: str) -> Callable[[], None]:
    """Writes energies, forces and, of crystals, stresses, as `energy_0`, `forces_0`, `stress_0`, …"""

    def call() -> None:
        found = {}
        for k, atoms in enumerate(frames):
            atoms.calc = calculator
            found[f"energy_{k}"] = atoms.get_potential_energy()
            found[f"forces_{k}"] = atoms.get_forces()
            if atoms.pbc.all():
                found[f"stress_{k}"] = atoms.get_stress()
        np.savez(file, **found)

    return call


def _step(atoms: Atoms, calculator: Calculator) -> Callable[[], None]:
    """Moves all atoms a little, so that nothing kept can be given back; then energy, forces and stress."""
    atoms.calc = calculator
    start, periodic = atoms.positions.copy(), atoms.pbc.all()
    way = np.random.default_rng(1).normal(0.0, WAY / np.sqrt(3), start.shape)
    made = 0

    def call() -> None:
        nonlocal made
        made += 1
        atoms.positions = start + abs((made + STEPS) % (2 * STEPS) - STEPS) / STEPS * way
        atoms.get_forces()
        atoms.get_potential_energy()
        if periodic:
            atoms.get_stress()

    return call
