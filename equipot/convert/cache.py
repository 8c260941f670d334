"""A cache of converted models. A source is converted again only after a change of equipot or of the source."""

import hashlib
from pathlib import Path
from typing import Literal

import equipot
from equipot.cache import cache_folder, make_folder
from equipot.convert.convert import convert
from equipot.convert.sources import locate
from equipot.model_file.metadata import FORMAT_VERSION


def cached(
    source: str | Path, modality: str | None = None, dtype: Literal["float32", "float64"] = "float32"
) -> Path:
    """Return the model file of a source, and convert the source first if that has not been done.

    The file lies in the folder `models` of the user's cache; its name contains a hash of the source and of equipot's
    version. Raises the errors of `convert`.
    """
    path = locate(str(source))
    made_from = [path.read_bytes(), equipot.__version__, FORMAT_VERSION]
    key = hashlib.sha256()
    for part in made_from:
        key.update(part if isinstance(part, bytes) else f"\n{part}".encode())
    name = "-".join(filter(None, [path.stem, modality, dtype, key.hexdigest()[:12]]))
    folder = cache_folder("models")
    target = folder / f"{name}.pt"
    if not target.exists():
        make_folder(folder)
        convert(source, target, modality=modality, dtype=dtype)
    return target
