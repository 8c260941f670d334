"""Calculators of ASE that use a model."""

from equipot.calculators.ase import EquipotCalculator
from equipot.calculators.universal import universal

__all__ = ["EquipotCalculator", "universal"]
