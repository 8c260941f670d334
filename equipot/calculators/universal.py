"""A calculator for nearly all elements that needs no training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from equipot.calculators.ase import EquipotCalculator

if TYPE_CHECKING:
    import torch


def is_published(model: str) -> bool:
    """Return whether a text has the form of a published model's name and is not a file."""
    return model.startswith(("sevenn:", "nequix-")) and not Path(model).is_file()


def universal(
    model: str | Path = "sevenn:7net-0",
    modality: str | None = None,
    dtype: Literal["float32", "float64"] = "float32",
    device: "str | torch.device" = "cpu",
    **kwargs: Any,
) -> EquipotCalculator:
    """Return an ASE calculator with a published universal potential (89 elements, PBE as in the Materials Project).

    The weights are read from the installed package sevenn (`pip install sevenn`), which is not imported, from the
    folder where Nequix's calculator stores them, or from a path. The first call converts them in a few
    minutes and stores the result in the user's cache. Use it as `atoms.calc = universal()`.

    Args:
        model: "sevenn:7net-0", "sevenn:7net-l3i5" (slower, more accurate), "sevenn:7net-mf-0" (with a modality),
            "nequix-mp-1", "nequix-oam-1-pft" and the like, or the path of a checkpoint; see `equipot convert`.
        modality: "PBE" or "R2SCAN" for sevenn:7net-mf-0.
        dtype: precision of the network.
        device, kwargs: arguments of `EquipotCalculator`.

    Raises:
        ModelFileError: the weights are not on this machine, or the checkpoint cannot be converted.
    """
    from equipot.convert.cache import (
        cached,  # imported here because conversions need e3nn, which is slow to import
    )

    return EquipotCalculator(cached(model, modality, dtype), device=device, **kwargs)
