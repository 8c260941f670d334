"""Where the header and the library of the C interface are."""

from pathlib import Path

from equipot.errors import EquipotError
from equipot.native import library


def header_folder() -> Path:
    """Return the folder of equipot.h; errors as in `library_file`."""
    return library_file().parent / "include"


def cmake_folder() -> Path:
    """Return the folder of equipotConfig.cmake; errors as in `library_file`."""
    return library_file().parent / "cmake"


def library_file() -> Path:
    """Return the path of the library; raise EquipotError if equipot was installed without compiled kernels."""
    file = library.library_file()
    if file is None:
        raise EquipotError(
            "equipot was installed without its compiled kernels; install a C++ compiler and equipot again"
        )
    return file
