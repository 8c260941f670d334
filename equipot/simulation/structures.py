"""Structures for calculations, with velocities, fixed atoms and masses from their file."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.formats import string2index  # type: ignore[attr-defined]

from equipot.errors import ConfigError, DataError
from equipot.neighbours.cell import independent, periodic_axes, volume_of
from equipot.quantities import GAMMA
from equipot.simulation.constraints import writable
from equipot.structures.reading import expand, iter_atoms

MOST_ATOMS = 10**7
# Labels, and the notes of ASE's reader of CIF files, are wrong once atoms or cell have moved.
STALE = re.compile(r"energ|force|stress|virial|^spacegroup|^unit_cell$|^occupancy$", re.IGNORECASE)


def read_structures(path: str) -> list[Atoms]:
    """Return the structures of a file, without calculators and without labels.

    path: a file that ase.io can read; `name@-1`, `name@:10` and similar choose frames as in ASE. Raise DataError for a
    missing, unreadable or empty file, atoms or cells that are not finite, and a periodic cell without volume.
    """
    name, _, index = path.rpartition("@")
    chosen: slice | int = slice(None)
    if name and not Path(path).exists() and index.strip("-:0123456789") == "":
        path, chosen = name, string2index(index)  # type: ignore[assignment]
    (file,) = expand([path])[:1]
    structures = list(iter_atoms(file))
    if not structures:
        raise DataError(f"{file}: the file holds no structures")
    frames = list(enumerate(structures))
    try:
        frames = frames[chosen] if isinstance(chosen, slice) else [frames[chosen]]
    except IndexError:
        raise DataError(
            f"{file}: has no frame {chosen}; it holds {len(structures)}, counted from 0"
        ) from None
    if not frames:
        raise DataError(f"{file}: holds {len(structures)} structures, and @{index} chooses none of them")
    for k, atoms in frames:
        _check(atoms, f"{file}#{k}")
        atoms.calc = None
        for values in (atoms.info, atoms.arrays):
            for key in [key for key in values if STALE.search(key)]:
                del values[key]
    return [atoms for _, atoms in frames]


def read_structure(path: str) -> Atoms:
    """Return the last structure of a file. Raise as `read_structures` does."""
    return read_structures(path)[-1]


def _check(atoms: Atoms, where: str) -> None:
    if len(atoms) == 0:
        raise DataError(f"{where}: the structure holds no atoms")
    if not np.isfinite(atoms.positions).all():
        bad = int(np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))[0])
        raise DataError(f"{where}: the position of atom {bad} is not finite")
    if not np.isfinite(atoms.cell.array).all() or not independent(atoms.cell.array[atoms.pbc]):
        raise DataError(
            f"{where}: the cell vectors along its periodic directions span no volume; "
            "give a cell (Lattice), or set pbc to F along these directions"
        )


def repeated(atoms: Atoms, times: Sequence[int]) -> Atoms:
    """Return a supercell; velocities and fixed atoms are repeated too.

    times: three numbers of 1 or more, 1 along directions that are not periodic. Raise ConfigError for others.
    """
    if len(times) != 3 or min(times) < 1:
        raise ConfigError(
            f"--repeat is {' '.join(map(str, times))}; expected three numbers of 1 or more, e.g. 3 3 3"
        )
    for k, name in enumerate("abc"):
        if times[k] > 1 and not atoms.pbc[k]:
            raise ConfigError(
                f"--repeat has {times[k]} cells along {name}, but the structure is not periodic along {name}"
            )
    if len(atoms) * int(np.prod(times)) > MOST_ATOMS:
        raise ConfigError(
            f"--repeat gives {len(atoms) * int(np.prod(times))} atoms; expected {MOST_ATOMS} at most"
        )
    return atoms.repeat(tuple(times))


def snapshot(atoms: Atoms, **info: Any) -> Atoms:
    """Return a copy with the present energy (eV), forces (eV/Å) and stress (eV/Å³) as stored results.

    info: values for the comment line of extended XYZ. The copy has the constraints that such a file can store, and the
    extrapolation grades as the array `gamma`.
    """
    copy = atoms.copy()
    copy.set_constraint(writable(atoms)[0])
    copy.info.update(info)
    results = {
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces(apply_constraint=False),
    }
    if has_stress(atoms):
        results["stress"] = atoms.get_stress(apply_constraint=False)
    copy.calc = SinglePointCalculator(copy, **results)
    if (grades := grades_of(atoms)) is not None:
        copy.set_array(GAMMA, grades, float, ())
    return copy


def grades_of(atoms: Atoms) -> np.ndarray | None:
    """Return the extrapolation grades of the last calculation; None for a calculator that has none."""
    return getattr(atoms.calc, "outputs", {}).get(GAMMA)


def has_stress(atoms: Atoms) -> bool:
    """Return whether the structure has a volume and its calculator a stress."""
    has_volume = not np.isnan(volume_of(atoms.cell.array, atoms.pbc))
    return has_volume and "stress" in getattr(atoms.calc, "implemented_properties", ())


def pressure_of(atoms: Atoms, stress: np.ndarray) -> float:
    """Return minus the mean of a stress (3, 3) along the periodic directions, in its unit.

    Across a layer, forces of the atoms are all that makes a stress, and no cell vector can follow it.
    """
    axes = periodic_axes(atoms.cell.array, atoms.pbc)
    return -float(np.trace(axes @ stress @ axes.T)) / len(axes)


def append_frame(file: IO[str], path: Path, atoms: Atoms) -> None:
    """Write one frame of extended XYZ and flush it; an OSError names the file."""
    try:
        ase.io.write(file, atoms, format="extxyz")
        file.flush()
    except OSError as error:
        error.filename = error.filename or str(path)
        with suppress(OSError):  # closing tries to write again
            file.close()
        raise
