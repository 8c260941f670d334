"""Models as calculators of other packages; ASE's is here."""

from equipot.calculators.ase import EquipotCalculator
from equipot.calculators.neighbours import VerletList

__all__ = ["EquipotCalculator", "VerletList"]
