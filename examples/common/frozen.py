"""Results that stay with their structure when the calculator goes on to the next one."""

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator


def with_results(atoms: Atoms) -> Atoms:
    """Return a copy that keeps its energy and forces. Several structures can then share one calculator."""
    copy = atoms.copy()
    forces = atoms.get_forces(apply_constraint=False)
    copy.calc = SinglePointCalculator(copy, energy=atoms.get_potential_energy(), forces=forces)
    return copy
