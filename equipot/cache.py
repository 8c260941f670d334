"""The cache of the user, for compiled plugins and converted models."""

import os
from pathlib import Path

import platformdirs

from equipot.errors import EquipotError


def cache_folder(kind: str) -> Path:
    """Return the folder of a kind of files; on Linux ~/.cache/equipot/`kind` or below $XDG_CACHE_HOME.

    It need not exist.
    """
    return platformdirs.user_cache_path("equipot") / kind


def make_folder(folder: Path) -> None:
    """Create a folder of the cache; raise EquipotError if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
        reason = "it is read-only"
    except OSError as error:
        writable, reason = False, error.strerror or str(error)
    if not writable:
        raise EquipotError(
            f"the cache folder {folder} cannot be written to ({reason}); "
            "set the environment variable XDG_CACHE_HOME to a folder that can"
        )
