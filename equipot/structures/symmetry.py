"""The space group of a crystal, by spglib, which is not needed for anything else."""

import warnings
from typing import Any

from ase import Atoms

from equipot.errors import ConfigError, DataError

TOLERANCE = 1e-2  # Å


def need_spglib() -> None:
    """Raise ConfigError, saying how to install it, where spglib is missing."""
    try:
        import spglib  # noqa: F401
    except ImportError:
        raise ConfigError(
            "the symmetry of a crystal needs spglib; install it with `pip install spglib`"
        ) from None


def space_group(atoms: Atoms, tolerance: float = TOLERANCE) -> Any:
    """Spglib's dataset of the space group that a crystal has within a tolerance (Å).

    Raises ConfigError where spglib is missing, DataError for what is not periodic in all directions or where spglib
    finds no group, as for atoms that lie on each other.
    """
    need_spglib()
    import spglib

    if not atoms.pbc.all() or len(atoms) == 0:
        raise DataError("the symmetry is that of a crystal; the structure is not periodic in all directions")
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    try:
        with warnings.catch_warnings():
            # spglib asks every caller to change a switch of the whole process.
            warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
            found = spglib.get_symmetry_dataset(cell, symprec=tolerance)
    except Exception as error:  # its class depends on spglib's version and switches
        raise DataError(_unrecognised(error)) from None
    if found is None:
        raise DataError(_unrecognised("no group"))
    return found


def _unrecognised(why: object) -> str:
    return f"the symmetry of the crystal is not recognised ({why}); look for atoms that lie on each other"
