"""Labels from any ASE calculator."""

from collections.abc import Iterable
from typing import Any

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator


def labelled(frames: Iterable[Atoms], calculator: Any) -> list[Atoms]:
    """Return copies of the structures with energies, forces and, for periodic ones, stresses of the calculator."""
    result = []
    for atoms in frames:
        copy = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        copy.calc = calculator
        labels = {"energy": copy.get_potential_energy(), "forces": copy.get_forces()}
        if copy.pbc.all():
            labels["stress"] = copy.get_stress()
        copy.calc = SinglePointCalculator(copy, **labels)
        result.append(copy)
    return result
