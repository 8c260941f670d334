"""Models as calculators of other packages; ASE's is here."""

from equipot.calculators.ase import EquipotCalculator
from equipot.calculators.universal import universal

__all__ = ["EquipotCalculator", "universal"]
