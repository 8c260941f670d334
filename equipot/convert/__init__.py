"""The conversion of other packages' model files to potentials of equipot, without their code."""

from equipot.convert.convert import convert
from equipot.convert.sources import locate

__all__ = ["convert", "locate"]
