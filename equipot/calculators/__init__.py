"""Calculators of ASE that use a model, and predictions for many structures at once."""

from equipot.calculators.ase import EquipotCalculator
from equipot.calculators.batch import Predicted
from equipot.calculators.many import predict_many
from equipot.calculators.universal import universal

__all__ = ["EquipotCalculator", "Predicted", "predict_many", "universal"]
