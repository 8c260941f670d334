"""Other packages' models to equipot's: files in, a `Potential` out. Their code is never imported."""

from equipot.convert.convert import convert
from equipot.convert.sources import locate

__all__ = ["convert", "locate"]
