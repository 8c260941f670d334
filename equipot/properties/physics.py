"""Properties of a crystal: its equation of state and its optical phonon at Γ.

The functions take atoms and an ASE calculator, and do not change the atoms.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.eos import EquationOfState

from equipot.errors import DataError, NumericsError

TO_THZ = (
    np.sqrt(units._e / units._amu) * 1e10 / (2 * np.pi) * 1e-12
)  # from sqrt(eV/Å²/amu), an angular frequency, to THz


def equation_of_state(
    atoms: Atoms,
    calculator: Any,
    strains: Iterable[float] = tuple(np.linspace(-0.03, 0.03, 7)),
    kind: str = "birchmurnaghan",
) -> dict[str, Any]:
    """Compute energies of the uniformly strained crystal, and fit the minimum of an equation of state.

    Args:
        atoms: the crystal; its scaled positions do not change, as in a cubic crystal without free parameters
        calculator: any ASE calculator
        strains: relative changes of all lengths, at least five, with the minimum between them
        kind: the kind of `ase.eos.EquationOfState`

    Returns:
        dict of strains (n,), volumes (n,) Å³ and energies (n,) eV of the cell; volume Å³, energy eV and a0 Å (the
        length of the first cell vector) at the minimum; bulk_modulus GPa.

    Raises:
        DataError: fewer than five strains.
        NumericsError: no strain changes the energy, or the minimum lies outside the volumes.
    """
    strains = np.array(list(strains), dtype=np.float64)
    if len(strains) < 5:
        raise DataError(f"an equation of state needs at least 5 strains; {len(strains)} are given")
    volumes, energies = [], []
    for strain in strains:
        strained = deformed(atoms, calculator, (1 + strain) * np.eye(3))
        volumes.append(strained.get_volume())
        energies.append(strained.get_potential_energy())
    if np.ptp(energies) == 0:
        raise NumericsError(
            "no strain changes the energy; the atoms are farther apart than the calculator's cutoff"
        )
    # scipy's steps are relative to its first guess, the lowest energy. They vanish if this is almost zero.
    mean = float(np.mean(energies))
    try:
        volume, energy, modulus = EquationOfState(volumes, np.array(energies) - mean, eos=kind).fit(
            warn=False
        )
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
        "energy": float(energy) + mean,
        "a0": float(atoms.cell.lengths()[0] * (volume / atoms.get_volume()) ** (1 / 3)),
        "bulk_modulus": float(modulus / units.GPa),
    }


def gamma_optical_phonon(
    atoms: Atoms, calculator: Any, sublattice: np.ndarray, displacement: float = 0.02, axis: int = 2
) -> float:
    """Return the frequency (THz) of the mode in which two sublattices move in opposite directions (frozen phonon).

    Args:
        atoms: the crystal
        calculator: any ASE calculator
        sublattice: indices of the atoms of one sublattice, e.g. `diamond_sublattice(atoms)`; the other atoms are the
            second one. By the crystal's symmetry the mode must move each sublattice rigidly along the axis, as the
            threefold optical mode of diamond or zincblende does.
        displacement: Å; the first sublattice is displaced in both directions, the second is at rest
        axis: 0, 1 or 2

    The force on an atom of the moved sublattice gives the force constant k of the relative coordinate, and
    ω = sqrt(k (1/m₁ + 1/m₂)). An unstable mode is returned as a negative frequency.
    """
    sublattice = np.asarray(sublattice)
    others = np.setdiff1d(np.arange(len(atoms)), sublattice)
    if len(sublattice) == 0 or len(sublattice) != len(others):
        raise DataError(f"the sublattice has {len(sublattice)} of {len(atoms)} atoms; expected half of them")
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
    """Return the indices of the face-centred sublattice of atom 0 in a diamond crystal with cubic axes.

    The crystal may be any supercell, but must be perfect. Raise DataError for other structures.
    """
    vectors = atoms.get_distances(0, range(len(atoms)), mic=True, vector=True)
    nearest = np.sort(np.linalg.norm(vectors, axis=1))[1] if len(atoms) > 1 else 0.0
    if nearest == 0.0:
        raise DataError("a diamond crystal has at least two atoms, all of them at different positions")
    # With the cube edge a, face-centred translations are multiples of a/2 whose sum is even.
    halves = vectors / (2 * nearest / np.sqrt(3))
    even = np.isclose(halves, np.round(halves), atol=0.1).all(axis=1)
    sublattice = np.flatnonzero(even & (np.round(halves).sum(axis=1).astype(int) % 2 == 0))
    if 2 * len(sublattice) != len(atoms):
        raise DataError("the atoms are not a perfect diamond crystal with its cubic axes along x, y and z")
    return sublattice


def deformed(atoms: Atoms, calculator: Any, deformation: np.ndarray) -> Atoms:
    """Return a deformed copy of the atoms, with the calculator and without constraints."""
    copy = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    copy.set_masses(atoms.get_masses())
    copy.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    copy.calc = calculator
    return copy
