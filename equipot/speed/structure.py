"""The structure that is timed where none is given: a crystal of the model's elements, repeated."""

from collections.abc import Sequence

import ase.build
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii, reference_states

from equipot.errors import DataError
from equipot.simulation.structures import MOST_ATOMS

RATTLE = 0.05  # Å, standard deviation: forces are not zero by symmetry
SHORTEST = 2.1  # Å: a simple cubic lattice then has 9.3 Å³ per atom, like water, though H-H bonds are shorter


def crystal(elements: Sequence[str], n_atoms: int, seed: int = 0) -> Atoms:
    """Return a rattled crystal of at least `n_atoms` atoms, nearly cubic and determined by the seed.

    For one element, it is the diamond, fcc, bcc or hcp crystal of ASE's reference data. Otherwise it is a simple cubic
    lattice with the elements in random order. Its edge is twice their mean covalent radius, but at least 2.1 Å.
    """
    rng = np.random.default_rng(seed)
    atoms = repeat(_unit(elements), n_atoms)
    if len(elements) > 1:
        # Equal numbers of all elements, up to one atom.
        atoms.symbols = rng.permutation(np.resize(list(elements), len(atoms)))
    atoms.positions += rng.normal(scale=RATTLE, size=(len(atoms), 3))
    return atoms


def _unit(elements: Sequence[str]) -> Atoms:
    numbers = [atomic_numbers[e] for e in elements]
    if len(elements) == 1:
        state = reference_states[numbers[0]] or {}
        if state.get("symmetry") in ("diamond", "fcc", "bcc"):
            return ase.build.bulk(elements[0], cubic=True)
        if state.get("symmetry") == "hcp":
            return ase.build.bulk(elements[0], orthorhombic=True)
    edge = max(2 * float(np.mean(covalent_radii[numbers])), SHORTEST)
    return Atoms(elements[0], cell=[edge] * 3, pbc=True)


def repeat(atoms: Atoms, n_atoms: int) -> Atoms:
    """Return a supercell of at least `n_atoms` atoms, repeated along periodic directions, the shortest first.

    Raise DataError for a structure without atoms, or one that has too few atoms and no periodic direction.
    """
    if len(atoms) == 0:
        raise DataError("the structure holds no atoms, so it cannot be timed")
    periodic = np.flatnonzero(atoms.pbc)
    if len(atoms) < n_atoms and len(periodic) == 0:
        raise DataError(
            f"the structure has {len(atoms)} atoms and no periodic direction, so it cannot be repeated to {n_atoms}; "
            "leave --atoms out or give a periodic structure"
        )
    if n_atoms > MOST_ATOMS:
        raise DataError(f"{n_atoms} atoms are requested; expected at most {MOST_ATOMS}")
    times = np.ones(3, dtype=int)
    lengths = atoms.cell.lengths()
    while len(atoms) * times.prod() < n_atoms:
        times[periodic[np.argmin((times * lengths)[periodic])]] += 1
    return atoms.repeat(times)
