"""Physics of a crystal as a calculator sees it: equation of state, optical phonon at Γ.

Plain functions from atoms and an ASE calculator to numbers. None changes the atoms it is given.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.eos import EquationOfState

from equipot.errors import DataError, NumericsError

TO_THZ = np.sqrt(units._e / units._amu) * 1e10 / (2 * np.pi) * 1e-12  # of sqrt(eV/Å²/amu)


def equation_of_state(
    atoms: Atoms,
    calculator: Any,
    strains: Iterable[float] = tuple(np.linspace(-0.03, 0.03, 7)),
    kind: str = "birchmurnaghan",
) -> dict[str, Any]:
    """Energies of the uniformly strained crystal and the minimum of a curve fitted through them.

    Args:
        strains: relative changes of all lengths, five at least, with the minimum between them
        kind: of `ase.eos.EquationOfState`

    Returns:
        dict of strains (n,), volumes (n,) Å³ and energies (n,) eV of the given cell; volume Å³ and energy eV at the
        minimum; a0 Å, the length of the first cell vector there; bulk_modulus GPa. Scaled positions are kept, as in
        a cubic crystal without free parameters. Raises NumericsError when the minimum lies outside the volumes.
    """
    strains = np.array(list(strains), dtype=np.float64)
    if len(strains) < 5:
        raise DataError(f"{len(strains)} strains are given; an equation of state needs at least 5")
    volumes, energies = [], []
    for strain in strains:
        strained = deformed(atoms, calculator, (1 + strain) * np.eye(3))
        volumes.append(strained.get_volume())
        energies.append(strained.get_potential_energy())
    if np.ptp(energies) == 0:
        raise NumericsError(
            "no strain changes the energy; the atoms are farther apart than the calculator's cutoff"
        )
    try:
        volume, energy, modulus = EquationOfState(volumes, energies, eos=kind).fit(warn=False)
    except (ValueError, RuntimeError):
        volume = energy = modulus = float("nan")
    if not min(volumes) <= volume <= max(volumes):
        raise NumericsError(
            f"the energy has no minimum between {min(volumes):.2f} and {max(volumes):.2f} Å³; "
            "give strains around the equilibrium volume"
        )
    return {
        "strains": strains,
        "volumes": np.array(volumes),
        "energies": np.array(energies),
        "volume": float(volume),
        "energy": float(energy),
        "a0": float(atoms.cell.lengths()[0] * (volume / atoms.get_volume()) ** (1 / 3)),
        "bulk_modulus": float(modulus / units.GPa),
    }


def gamma_optical_phonon(
    atoms: Atoms, calculator: Any, sublattice: np.ndarray, displacement: float = 0.02, axis: int = 2
) -> float:
    """Frequency (THz) of the mode in which two sublattices move against each other, from a frozen phonon.

    Args:
        sublattice: indices of the atoms of one sublattice, e.g. `diamond_sublattice(atoms)`; the others are the
            second one. By the crystal's symmetry the mode must move each sublattice rigidly along the axis, as the
            threefold optical mode of diamond or zincblende does.
        displacement: Å, of the first sublattice in both directions, the other one at rest
        axis: 0, 1 or 2

    The force on an atom of the moved sublattice gives the force constant k of the relative coordinate, and
    ω = sqrt(k (1/m₁ + 1/m₂)). An unstable mode is returned as a negative frequency.
    """
    sublattice = np.asarray(sublattice)
    others = np.setdiff1d(np.arange(len(atoms)), sublattice)
    if len(sublattice) == 0 or len(sublattice) != len(others):
        raise DataError(
            f"a sublattice of {len(sublattice)} of {len(atoms)} atoms is given; expected half of them"
        )
    forces = []
    for step in (displacement, -displacement):
        moved = deformed(atoms, calculator, np.eye(3))
        moved.positions[sublattice, axis] += step
        forces.append(moved.get_forces()[sublattice, axis].mean())
    k = -(forces[0] - forces[1]) / (2 * displacement)
    masses = atoms.get_masses()
    square = k * (1 / masses[sublattice].mean() + 1 / masses[others].mean())
    return float(np.sign(square) * np.sqrt(abs(square)) * TO_THZ)


def diamond_sublattice(atoms: Atoms) -> np.ndarray:
    """Indices of the atoms on the face-centred sublattice of atom 0 in a diamond crystal with cubic axes.

    The quarter-diagonal of the cube leads to the other one; works for any supercell of perfect crystal.
    """
    vectors = atoms.get_distances(0, range(len(atoms)), mic=True, vector=True)
    nearest = np.sort(np.linalg.norm(vectors, axis=1))[1] if len(atoms) > 1 else 0.0
    if nearest == 0.0:
        raise DataError("a diamond crystal has at least two atoms, none of them in the same place")
    # Cube edge a; face-centred translations have coordinates that are multiples of a/2 and an even sum of them.
    halves = vectors / (2 * nearest / np.sqrt(3))
    even = np.isclose(halves, np.round(halves), atol=0.1).all(axis=1)
    found = np.flatnonzero(even & (np.round(halves).sum(axis=1).astype(int) % 2 == 0))
    if 2 * len(found) != len(atoms):
        raise DataError("the atoms are not a perfect diamond crystal with its cubic axes along x, y and z")
    return found


def deformed(atoms: Atoms, calculator: Any, deformation: np.ndarray) -> Atoms:
    """A deformed copy with the calculator attached and without constraints."""
    copy = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    copy.set_masses(atoms.get_masses())
    copy.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    copy.calc = calculator
    return copy
