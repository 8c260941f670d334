"""The conversion of a file: read it, choose the splines, write a model file."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from equipot.convert import nequip, nequix, sevennet
from equipot.convert.pickles import read_checkpoint
from equipot.convert.resolution import Resolution, choose_resolution
from equipot.convert.sources import locate
from equipot.errors import ModelFileError
from equipot.model_file import write_model
from equipot.network.potential import Potential
from equipot.network.variants import with_elements, with_precision

TOLERANCE = 1e-5  # eV/Å


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion."""

    path: Path
    potential: Potential
    resolution: Resolution
    origin: dict[str, Any]


def convert(
    source: str | Path,
    output: str | Path,
    modality: str | None = None,
    tolerance: float = TOLERANCE,
    dtype: Literal["float32", "float64"] = "float32",
    elements: Sequence[str] | None = None,
) -> Conversion:
    """Write another package's model as a model file of equipot.

    Args:
        source: `sevenn:NAME`, the name of a Nequix model, or the path of a SevenNet checkpoint, a NequIP checkpoint, a
            NequIP package or a Nequix file.
        output: path of the model file; an existing file is replaced only by one that passes its check.
        modality: level of theory, for models with several.
        tolerance: eV/Å, the largest change of a force that the splines of the radial functions may cause.
        dtype: precision of the network.
        elements: elements of the new model; all by default.

    Raises:
        ModelFileError: the source is none of these, is damaged, asks to run code, or is a network that equipot does not
            have; or the model file does not reproduce it.
        OSError: the output cannot be written.
    """
    path = locate(str(source))
    potential, origin = read_foreign(path, modality)
    if elements is not None:
        potential = with_elements(potential, elements)
    potential, resolution = choose_resolution(potential, tolerance)
    origin = {
        "source": str(source),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        **origin,
        "force_tolerance": tolerance,
        "force_difference_of_splines": resolution.difference,
    }
    if dtype != potential.spec.dtype:
        potential = with_precision(potential, dtype)
    return Conversion(
        write_model(output, potential, training={"converted": origin}), potential, resolution, origin
    )


def read_foreign(path: Path, modality: str | None = None) -> tuple[Potential, dict[str, Any]]:
    """Return a float64 potential with the weights of another package's file, and a record of its origin."""
    readers = {
        "nequix": ("Nequix", nequix.is_nequix, nequix.read_nequix),
        "nequip": ("NequIP", nequip.is_nequip, nequip.read_nequip),
    }
    for package, (name, is_theirs, read) in readers.items():
        if not is_theirs(path):
            continue
        if modality is not None:
            raise ModelFileError(
                f"modality '{modality}' was requested, but {name} models have none; leave --modality out"
            )
        return read(path), {"package": package}
    checkpoint = read_checkpoint(path)
    if sevennet.is_sevennet(checkpoint):
        return sevennet.read_sevennet(checkpoint, modality)
    raise ModelFileError(
        f"{path}: neither a model of SevenNet nor of NequIP or Nequix; it holds {', '.join(map(str, checkpoint))[:120]}"
    )
