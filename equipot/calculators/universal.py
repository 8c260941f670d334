"""A calculator for nearly every element, out of the box."""

from pathlib import Path
from typing import Any, Literal

import torch

from equipot.calculators.ase import EquipotCalculator


def universal(
    model: str | Path = "sevenn:7net-0",
    modality: str | None = None,
    dtype: Literal["float32", "float64"] = "float32",
    device: str | torch.device = "cpu",
    **kwargs: Any,
) -> EquipotCalculator:
    """A published universal potential as an ASE calculator: 89 elements, PBE as in the Materials Project.

    Found where `pip install sevenn` put it (the package is not imported, and may be in no environment but this one),
    or read from a checkpoint's path; converted on first use, which takes a minute, and kept in the user's cache.

        atoms.calc = universal()

    Args:
        model: "sevenn:7net-0", "sevenn:7net-l3i5" (slower, more accurate), "sevenn:7net-mf-0" (with a modality), or
            the path of a checkpoint; see `equipot convert`.
        modality: "PBE" or "R2SCAN" for sevenn:7net-mf-0.
        dtype: precision of the network.
        device, kwargs: as `EquipotCalculator` takes them.

    Raises:
        ModelFileError: sevenn is not installed, or what was found cannot be converted.
    """
    from equipot.convert.cache import (
        cached,  # conversions need e3nn's coefficients, which a calculator does not
    )

    return EquipotCalculator(cached(model, modality, dtype), device=device, **kwargs)
