"""The space group of a crystal from spglib, an optional dependency."""

import warnings
from typing import Any

from ase import Atoms

from equipot.errors import ConfigError, DataError

TOLERANCE = 1e-2  # Å


def need_spglib() -> None:
    """Raise ConfigError with the command to install spglib if it is missing."""
    try:
        import spglib  # noqa: F401
    except ImportError:
        raise ConfigError(
            "the symmetry of a crystal needs spglib; install it with `pip install spglib`"
        ) from None


def space_group(atoms: Atoms, tolerance: float = TOLERANCE) -> Any:
    """Return spglib's dataset of the space group of a crystal.

    Args:
        atoms: the crystal.
        tolerance: Å.

    Raises:
        ConfigError: spglib is missing.
        DataError: the structure is not periodic in all directions, or spglib finds no space group, for example because
            two atoms have the same position.
    """
    need_spglib()
    import spglib

    if not atoms.pbc.all() or len(atoms) == 0:
        raise DataError("only a crystal has a space group; the structure is not periodic in all directions")
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    try:
        with warnings.catch_warnings():
            # spglib asks every caller to change a switch of the whole process.
            warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
            dataset = spglib.get_symmetry_dataset(cell, symprec=tolerance)
    except Exception as error:  # the class of the error depends on spglib's version and settings
        raise DataError(_unrecognised(error)) from None
    if dataset is None:
        raise DataError(_unrecognised("no group"))
    return dataset


def _unrecognised(reason: object) -> str:
    return f"the symmetry of the crystal is not recognised ({reason}); look for atoms at the same position"
