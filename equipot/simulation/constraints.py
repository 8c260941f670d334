"""Constraints in extended XYZ, which can store only the Cartesian components of each atom that may move."""

from collections.abc import Iterable, Sequence

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled

_ALONG_AN_AXIS = 1e-8  # components of a unit vector below this are rounding


def writable(atoms: Atoms) -> tuple[list[FixAtoms | FixCartesian], list[str]]:
    """Return the constraints in a form that extended XYZ can store, and the names of those that it cannot.

    Lines, planes and scaled coordinates (the selective dynamics of VASP) can be stored if the directions in which they
    leave atoms free are Cartesian axes.
    """
    storable: list[FixAtoms | FixCartesian] = []
    others: list[str] = []
    for constraint in atoms.constraints:
        fixed = _fixed_components(constraint, atoms)
        if isinstance(constraint, FixAtoms | FixCartesian):
            storable.append(constraint)
        elif fixed is not None and fixed.all():
            storable.append(FixAtoms(indices=np.ravel(constraint.index)))
        elif fixed is not None:
            storable.append(FixCartesian(np.ravel(constraint.index), mask=fixed))
        else:
            others.append(type(constraint).__name__)
    return storable, others


def lost_constraints(structures: Sequence[Atoms], files: Iterable[object]) -> str:
    """Return a sentence about the constraints of a run that its files cannot store; empty if they can store all."""
    names = sorted({name for atoms in structures for name in writable(atoms)[1]})
    if not names:
        return ""
    return (
        f"{', '.join(names)} cannot be written to extended XYZ: it holds in this run, but is not in "
        f"{' or '.join(str(file) for file in files)}; set it again before you continue from that file"
    )


def _fixed_components(constraint: object, atoms: Atoms) -> np.ndarray | None:
    """Return the fixed Cartesian components, (3,) bool; None for a constraint of another kind."""
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
    """Return the Cartesian axis that a direction is parallel to; None if it is not parallel to any."""
    along = np.abs(direction) > _ALONG_AN_AXIS * np.linalg.norm(direction)
    return int(np.argmax(along)) if along.sum() == 1 else None
