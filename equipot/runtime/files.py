"""Where the header and the library of the C interface are."""

import importlib.util
from pathlib import Path

from equipot.errors import EquipotError


def header_folder() -> Path:
    """Return the folder of equipot.h."""
    return Path(__file__).resolve().parent


def library_file() -> Path:
    """Return the path of the library; raise EquipotError if equipot was installed without compiled kernels."""
    spec = importlib.util.find_spec("equipot.ops._engine")
    if spec is None or spec.origin is None:
        raise EquipotError(
            "equipot was installed without its compiled kernels; install a C++ compiler and equipot again"
        )
    return Path(spec.origin)
