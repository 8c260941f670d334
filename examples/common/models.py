"""The calculator of a model that is named on the command line."""

import argparse

from equipot.calculators import EquipotCalculator, universal
from equipot.calculators.universal import is_published
from equipot.errors import EquipotError

PUBLISHED = "sevenn:7net-0"  # the model of an example that names none; `pip install sevenn` carries it


def add_model(parser: argparse.ArgumentParser, option: str = "--model", use: str = "") -> None:
    """Add the option that names a model; use: what the model is for."""
    parser.add_argument(
        option,
        default=PUBLISHED,
        metavar="MODEL",
        help=f"{use}a published model or a model file (default: %(default)s)",
    )


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
