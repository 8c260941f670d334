"""The records of a model file beside its TorchScript. Reading them needs no torch."""

import json
import zipfile
from pathlib import Path
from typing import Any

from equipot.errors import ModelFileError
from equipot.model_file.metadata import METADATA, PROGRAM, ModelMetadata


def read_metadata(path: str | Path) -> ModelMetadata:
    """Return the metadata of a model file, without loading its network.

    Raise ModelFileError if the file is not a model file, is damaged, or has a newer format.
    """
    path = Path(path)
    if not path.exists():
        raise ModelFileError(f"{path}: no such file; expected a model written by `equipot export`")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith("/extra/" + METADATA)]
            if len(names) != 1:
                raise ModelFileError(
                    f"{path}: not an equipot model file; expected one written by `equipot export`"
                )
            broken = archive.testzip()
            if broken:
                raise ModelFileError(f"{path}: damaged at '{broken}'; copy or export it again")
            return ModelMetadata.from_json(archive.read(names[0]), str(path))
    except zipfile.BadZipFile:
        raise ModelFileError(
            f"{path}: not a model file, or a damaged one (no readable archive); copy or export it again"
        ) from None


def read_program(path: Path) -> dict[str, Any] | None:
    """Return the program for the runtime without its arrays; None for a file without one.

    path: of a file whose metadata could be read.
    """
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("/extra/" + PROGRAM)]
        return dict(json.loads(archive.read(names[0]))) if names else None
