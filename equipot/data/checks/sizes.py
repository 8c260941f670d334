"""A check of absolute sizes. It finds sets whose labels agree with each other but are all in another system of units.

Three sizes hardly depend on the substance. The distance of the closest atoms is about the sum of their covalent radii.
Forces on atoms are rarely above 10 eV/Å. No total energy is larger than that of all electrons of the atoms. The
statistical atom gives this energy within a few per cent (B.-G. Englert and J. Schwinger, Phys. Rev. A 32, 26 (1985)):

    E(Z) = -0.768745 Z^(7/3) + Z²/2 - 0.269900 Z^(5/3)  Hartree
"""

from collections.abc import Sequence

import numpy as np
from ase import units
from ase.data import covalent_radii

from equipot.data.checks.report import Finding
from equipot.neighbours import neighbour_list
from equipot.structures.frame import Frame

_SAMPLE, _MOST_ATOMS = 40, 300  # number of frames in the sample, and largest number of atoms in one of them
_REACH = 6.0  # Å; more distant pairs are not used
_NOBLE = (2, 10, 18, 36, 54, 86)  # noble gases: their crystals and liquids have no bonds
_BOHR_BONDS = (1.35, 2.3)  # range of the ratio to covalent radii in a set in Bohr; in Å it is 0.7 to 1.15
_LARGE_FORCE = 10.0  # eV/Å, rms of a typical frame
_KCAL = units.mol / units.kcal
_ENERGY_UNITS = {"kcal/mol": _KCAL, "kJ/mol": units.mol / units.kJ, "meV": 1000.0}
_ATOMIC_UNITS = {"Hartree": 1 / units.Hartree, "Rydberg": 1 / units.Rydberg}


def check_sizes(frames: Sequence[Frame], usable: Sequence[int]) -> list[Finding]:
    """Return the finding units: distances, energies and forces have sizes that are usual in Å and eV.

    Args:
        frames: the frames.
        usable: indices of the frames with a valid geometry.
    """
    sample = [frames[i] for i in usable if 1 < len(frames[i]) <= _MOST_ATOMS]
    sample = sample[:: max(len(sample) // _SAMPLE, 1)]
    bond = _bond_ratio(sample)
    force = _typical_force(sample)
    energy = _energy_ratio(sample)
    evidence = [*_of_bonds(bond), *_of_energies(energy, force), *_of_forces(force, bond)]
    if evidence:
        message = "; ".join(evidence) + "; expected Å, eV and eV/Å: convert the set"
        return [Finding("units", "error", message)]
    return [Finding("units", "ok", "distances, energies and forces have the sizes of Å, eV and eV/Å")]


def _of_bonds(ratio: float | None) -> list[str]:
    if ratio is None or ratio < _BOHR_BONDS[0]:
        return []
    unit = ", as in Bohr" if ratio < _BOHR_BONDS[1] else ""
    return [f"the distance of the closest atoms is {ratio:.2g} times the sum of their covalent radii{unit}"]


def _of_energies(ratio: float | None, force: float | None) -> list[str]:
    if ratio is None:
        return []
    comparison = f"energies are {ratio:.3g} times the energy of all electrons of the atoms in eV"
    for name, factor in _ENERGY_UNITS.items():
        if abs(ratio / factor - 1) < 0.1:
            return [f"{comparison}, as in {name}"]
    if ratio > 1.5:
        return [f"{comparison}, more than any method gives"]
    for name, factor in _ATOMIC_UNITS.items():
        # Energies of valence electrons may have this size by chance, so the forces must also be small.
        if abs(ratio / factor - 1) < 0.06 and force is not None and force < 4 * factor:
            return [f"{comparison} and forces are {force:.2g} (rms), as in {name}"]
    return []


def _of_forces(force: float | None, bond: float | None) -> list[str]:
    compressed = bond is not None and bond < 0.7
    if force is None or force < _LARGE_FORCE or compressed:
        return []
    return [
        f"forces are {force:.3g} (rms of a typical frame), 10 to 100 times too large, as in kcal/mol or kJ/mol"
    ]


def _bond_ratio(frames: Sequence[Frame]) -> float | None:
    """Return the ratio of the closest distance and the sum of covalent radii, the 10 % quantile over the frames."""
    ratios = []
    for frame in frames:
        if np.isin(frame.numbers, _NOBLE).any():
            continue
        edges, _, vectors = neighbour_list(frame.positions, frame.cell, frame.pbc, _REACH)
        if len(vectors):
            radii = covalent_radii[frame.numbers]
            lengths = np.linalg.norm(vectors, axis=1)
            ratios.append(float((lengths / (radii[edges[0]] + radii[edges[1]])).min()))
    return float(np.quantile(ratios, 0.1)) if ratios else None


def _typical_force(frames: Sequence[Frame]) -> float | None:
    sizes = [float(np.sqrt(np.mean(np.square(f.forces)))) for f in frames if f.forces is not None]
    sizes = [size for size in sizes if np.isfinite(size)]
    return float(np.median(sizes)) if sizes else None


def _energy_ratio(frames: Sequence[Frame]) -> float | None:
    ratios = [f.energy / _all_electrons(f.numbers) for f in frames if f.energy is not None]
    ratios = [ratio for ratio in ratios if np.isfinite(ratio)]
    return float(np.median(ratios)) if ratios else None


def _all_electrons(numbers: np.ndarray) -> float:
    """Return the non-relativistic energy (eV) of the free atoms with all their electrons."""
    z = numbers.astype(np.float64)
    hartree = -0.768745 * z ** (7 / 3) + z**2 / 2 - 0.2699 * z ** (5 / 3)
    return float(hartree.sum()) * units.Hartree
