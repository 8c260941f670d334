"""Phonons of a crystal by finite displacements with phonopy: frequencies, bands, density of states, heat capacity."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.dft.kpoints import parse_path_string
from numpy.typing import ArrayLike

from equipot.errors import ConfigError, DataError, NumericsError
from equipot.simulation.structures import MOST_ATOMS
from equipot.structures.symmetry import space_group

SYMMETRY = 1e-3  # Å, tolerance of symmetry; positions in files are rounded
BAND_POINTS = 400
MESH_LENGTH = 60.0  # Å, phonopy's measure of the density of a mesh
# THz, smallest imaginary frequencies that are reported. At wave vectors that fit into the supercell, frequencies follow
# from the forces alone. Between these, the interpolation causes small imaginary frequencies near Γ.
IMAGINARY, IMAGINARY_BETWEEN = 0.05, 0.2
THERMAL_CUTOFF = 1e-3  # THz; thermal properties leave out modes below: translations and imaginary modes


@dataclass(frozen=True)
class Imaginary:
    """The most unstable mode at a set of wave vectors."""

    frequency: float  # THz, the absolute value
    q: np.ndarray  # Shape: (3,), in reciprocal vectors of the primitive cell
    fits: bool  # whether q fits into the supercell, so that the frequency is not interpolated

    def sentence(self) -> str:
        """Return a sentence about the mode."""
        where = " ".join(f"{x:.4g}" for x in self.q + 0.0)
        how = "" if self.fits else " (interpolated: a larger --supercell may remove it)"
        mode = f"imaginary mode: {self.frequency:.3f}i THz at q = ({where})"
        return f"{mode}{how}; the structure is not a minimum along this mode"


@dataclass(frozen=True)
class Bands:
    """The frequencies along straight lines between special points."""

    distances: list[np.ndarray]  # of each line, Shape: (n_points,), 1/Å
    frequencies: list[np.ndarray]  # of each line, Shape: (n_points, n_modes), THz; negative: imaginary
    ticks: list[tuple[float, str]]  # distance and name of the special points


@dataclass(frozen=True)
class Phonons:
    """The results of phonopy. Thermal properties are for one mole of primitive cells."""

    phonon: Any  # phonopy.Phonopy, with everything computed
    n_displaced: int
    gamma: np.ndarray  # Shape: (3 n_primitive,), THz
    acoustic: float  # THz, largest acoustic frequency at Γ before the force constants were symmetrised
    bands: Bands
    dos: np.ndarray  # Shape: (n, 2), THz and states per THz and primitive cell
    thermal: np.ndarray  # Shape: (n, 4): K, kJ/mol free energy, J/K/mol entropy, J/K/mol heat capacity
    imaginary: list[Imaginary]  # at most two: the worst at wave vectors that fit, the worst between them


def need_phonopy() -> None:
    """Raise ConfigError if phonopy is missing; the error says how to install it."""
    try:
        import phonopy  # noqa: F401
    except ImportError:
        raise ConfigError("phonons need phonopy; install it with `pip install phonopy`") from None


def supercell_of_length(atoms: Atoms, length: float) -> tuple[int, int, int]:
    """Return the repeats of a supercell whose opposite faces are at least this far apart (Å)."""
    _check_crystal(atoms)
    heights = 1 / np.linalg.norm(np.linalg.pinv(atoms.cell.array), axis=0)
    a, b, c = (max(1, int(np.ceil(length / h - 1e-6))) for h in heights)
    return a, b, c


def phonons(
    atoms: Atoms,
    calculator: Any,
    supercell: Sequence[int] = (1, 1, 1),
    *,
    displacement: float = 0.01,
    temperatures: Sequence[float] = tuple(range(0, 1001, 10)),
    progress: Callable[[int, int], object] | None = None,
) -> Phonons:
    """Compute phonons from the forces of displaced supercells.

    Args:
        atoms: a relaxed crystal with any cell; bands are those of its primitive cell
        calculator: any ASE calculator
        supercell: repeats of the cell
        displacement: Å
        temperatures: K, of the thermal properties
        progress: called with the number of displaced supercells that are done, and of all

    Force constants are made translation-invariant. Atoms are displaced in both directions unless symmetry makes them
    equivalent, so forces of a crystal that is not relaxed cancel. A potential has no charges, so polar crystals have no
    splitting of longitudinal and transverse modes at Γ. Raise ConfigError if phonopy is missing, DataError for a
    structure that is not a crystal, NumericsError if no displacement causes a force.
    """
    need_phonopy()
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    check_options(atoms, supercell, displacement)
    cell = PhonopyAtoms(
        symbols=list(atoms.symbols),
        cell=atoms.cell.array,
        positions=atoms.positions,
        masses=atoms.get_masses(),
    )
    with warnings.catch_warnings():
        # phonopy 4 warns that "auto" is the default now, even if it is passed explicitly.
        warnings.filterwarnings("ignore", message="primitive_matrix defaulted")
        phonon: Any = Phonopy(
            cell, np.diag(supercell).tolist(), primitive_matrix="auto", symprec=SYMMETRY, log_level=0
        )
    phonon.generate_displacements(distance=displacement)
    displaced = phonon.supercells_with_displacements
    forces = []
    for k, moved in enumerate(displaced):
        forces.append(_forces(moved, calculator))
        if progress is not None:
            progress(k + 1, len(displaced))
    if not np.any(forces):
        raise NumericsError(
            "no displacement causes a force; the atoms are farther apart than the calculator's cutoff"
        )
    phonon.forces = np.array(forces)
    phonon.produce_force_constants(calculate_full_force_constants=False, show_drift=False)
    acoustic = float(np.sort(np.abs(frequencies_at(phonon, [[0, 0, 0]])[0]))[:3].max())
    phonon.symmetrize_force_constants(show_drift=False)
    gamma = frequencies_at(phonon, [[0, 0, 0]])[0]
    bands = _bands(phonon)
    phonon.run_mesh(MESH_LENGTH)
    phonon.run_total_dos()
    dos = np.stack([phonon.total_dos.frequency_points, phonon.total_dos.dos], axis=1)
    phonon.run_thermal_properties(temperatures=list(temperatures), cutoff_frequency=THERMAL_CUTOFF)
    t = phonon.thermal_properties
    thermal = np.stack([t.temperatures, t.free_energy, t.entropy, t.heat_capacity], axis=1)
    return Phonons(phonon, len(displaced), gamma, acoustic, bands, dos, thermal, _imaginary(phonon))


def _check_crystal(atoms: Atoms) -> None:
    if len(atoms) == 0:
        raise DataError("the structure holds no atoms")
    if not atoms.pbc.all():
        raise DataError(
            "phonons need a crystal, but the structure is not periodic in all three directions; "
            "make it periodic, with enough vacuum around a layer or molecule"
        )


def check_options(atoms: Atoms, supercell: Sequence[int], displacement: float) -> None:
    """Raise DataError or ConfigError, before anything is computed, for arguments that `phonons` cannot take."""
    _check_crystal(atoms)
    if len(supercell) != 3 or min(supercell) < 1:
        raise ConfigError(f"the supercell is {tuple(supercell)}; expected three numbers of 1 or more")
    if len(atoms) * int(np.prod(supercell)) > MOST_ATOMS:
        raise ConfigError(
            f"the supercell has {len(atoms) * int(np.prod(supercell))} atoms; give a smaller one"
        )
    if not 0 < displacement < 1:
        raise ConfigError(
            f"the displacement is {displacement:g} Å; expected a small positive length, e.g. 0.01"
        )
    space_group(atoms, SYMMETRY)


def _forces(cell: Any, calculator: Any) -> np.ndarray:
    atoms = Atoms(cell.symbols, positions=cell.positions, cell=cell.cell, pbc=True)
    atoms.calc = calculator
    return atoms.get_forces()


def _bands(phonon: Any) -> Bands:
    """Return bands along ASE's path for the lattice (Setyawan and Curtarolo, Comp. Mat. Sci. 49, 299)."""
    reciprocal = np.linalg.inv(np.asarray(phonon.primitive.cell)).T
    lines, names, connections = [], [], []
    special, path = _path(np.asarray(phonon.primitive.cell))
    pieces = [(a, b, k == len(piece) - 2) for piece in path for k, (a, b) in enumerate(pairwise(piece))]
    lengths = [np.linalg.norm((special[b] - special[a]) @ reciprocal) for a, b, _ in pieces]
    for (a, b, last), length in zip(pieces, lengths):
        points = max(5, round(BAND_POINTS * length / sum(lengths)))
        lines.append(special[a] + np.linspace(0, 1, points)[:, None] * (special[b] - special[a]))
        connections.append(not last)
        names.append(_greek(a))
        if last:
            names.append(_greek(b))
    phonon.run_band_structure(lines, path_connections=connections, labels=names)
    distances = [np.asarray(d) for d in phonon.band_structure.distances]
    ticks: list[tuple[float, str]] = []
    for (a, b, _), x in zip(pieces, distances):
        for at, name in ((x[0], _greek(a)), (x[-1], _greek(b))):
            if ticks and abs(ticks[-1][0] - at) < 1e-9:
                if ticks[-1][1].split("|")[-1] != name:
                    ticks[-1] = (ticks[-1][0], f"{ticks[-1][1]}|{name}")
            else:
                ticks.append((float(at), name))
    return Bands(distances, [np.asarray(f) for f in phonon.band_structure.frequencies], ticks)


def _path(cell: np.ndarray) -> tuple[dict[str, np.ndarray], list[list[str]]]:
    """Return the special points, in reciprocal vectors, and the pieces of the path between them."""
    for tolerance in (2e-4, 2e-3, 2e-2):
        try:
            path = Cell(cell).bandpath(npoints=0, eps=tolerance)
            return path.special_points, parse_path_string(path.path)
        except (RuntimeError, ValueError, AssertionError):
            continue
    raise DataError("the lattice of the primitive cell is not recognised; symmetrise the structure first")


def frequencies_at(phonon: Any, q: ArrayLike) -> np.ndarray:
    """Return frequencies (n, n_modes) in THz at wave vectors q (n, 3), in reciprocal vectors of the primitive cell."""
    phonon.run_qpoints(np.asarray(q, dtype=np.float64))
    return np.asarray(phonon.qpoints.frequencies)


def _greek(name: str) -> str:
    return "Γ" if name == "G" else name


def _imaginary(phonon: Any) -> list[Imaginary]:
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

    matrix = np.rint(np.linalg.inv(phonon.primitive_matrix) @ phonon.supercell_matrix).astype(int)
    fitting = np.asarray(get_commensurate_points(matrix))
    lowest = frequencies_at(phonon, fitting).min(axis=1)
    modes = []
    if lowest.min() < -IMAGINARY:
        modes.append(Imaginary(-float(lowest.min()), fitting[lowest.argmin()], True))
    points = [*np.concatenate([np.asarray(q) for q in phonon.band_structure.qpoints]), *phonon.mesh.qpoints]
    between = [f.min(axis=1) for f in (*phonon.band_structure.frequencies, phonon.mesh.frequencies)]
    values = np.concatenate(between)
    if values.min() < -IMAGINARY_BETWEEN and values.min() < 1.05 * lowest.min() - IMAGINARY:
        modes.append(Imaginary(-float(values.min()), np.asarray(points[int(values.argmin())]), False))
    return modes
