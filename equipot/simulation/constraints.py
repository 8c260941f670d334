"""Constraints in extended XYZ, which holds one thing: which Cartesian components of each atom may move."""

from collections.abc import Iterable, Sequence

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled

_ALONG_AN_AXIS = 1e-8  # components of a unit vector below this are rounding


def writable(atoms: Atoms) -> tuple[list[FixAtoms | FixCartesian], list[str]]:
    """Constraints as a file can hold them, and the names of those that it cannot.

    Lines, planes and scaled coordinates (the selective dynamics of VASP) can be written where they leave an atom free
    along Cartesian axes.
    """
    able: list[FixAtoms | FixCartesian] = []
    unable: list[str] = []
    for constraint in atoms.constraints:
        fixed = _fixed_components(constraint, atoms)
        if isinstance(constraint, FixAtoms | FixCartesian):
            able.append(constraint)
        elif fixed is not None and fixed.all():
            able.append(FixAtoms(indices=np.ravel(constraint.index)))
        elif fixed is not None:
            able.append(FixCartesian(np.ravel(constraint.index), mask=fixed))
        else:
            unable.append(type(constraint).__name__)
    return able, unable


def lost_constraints(structures: Sequence[Atoms], files: Iterable[object]) -> str:
    """A sentence on the constraints that hold during a run and cannot be written to its files; empty without any."""
    names = sorted({name for atoms in structures for name in writable(atoms)[1]})
    if not names:
        return ""
    return (
        f"{', '.join(names)} cannot be written to extended XYZ: it holds in this run, and is not in "
        f"{' or '.join(str(file) for file in files)}; set it again before you continue from there"
    )


def _fixed_components(constraint: object, atoms: Atoms) -> np.ndarray | None:
    """(3,) bool, Cartesian components that are fixed; None where that is not what the constraint does."""
    if isinstance(constraint, FixedLine):
        free = [np.asarray(constraint.dir, dtype=float)]
    elif isinstance(constraint, FixedPlane):
        normal = _axis(np.asarray(constraint.dir, dtype=float))
        return None if normal is None else np.arange(3) == normal
    elif isinstance(constraint, FixScaled):
        free = list(atoms.cell.complete().array[~np.asarray(constraint.mask, dtype=bool)])
    else:
        return None
    axes = [axis for axis in map(_axis, free) if axis is not None]
    return ~np.isin(np.arange(3), axes) if len(axes) == len(free) else None


def _axis(direction: np.ndarray) -> int | None:
    """The Cartesian axis that a direction lies along, if it lies along one."""
    along = np.abs(direction) > _ALONG_AN_AXIS * np.linalg.norm(direction)
    return int(np.argmax(along)) if along.sum() == 1 else None
