"""The calculator of a model that is named on the command line."""

from equipot.calculators import EquipotCalculator, universal
from equipot.calculators.universal import is_published
from equipot.errors import EquipotError


def calculator(model: str) -> EquipotCalculator:
    """Return the calculator of a model file, or of a published model such as sevenn:7net-0.

    A model that is not on this machine ends the example with one sentence.
    """
    try:
        result = universal(model) if is_published(model) else EquipotCalculator(model)
    except EquipotError as error:
        raise SystemExit(str(error)) from None
    result.warns = False
    return result
