"""What the examples know about silicon: its structures, and what DFT says about the crystal."""

import json
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read

HERE = Path(__file__).resolve().parent
DATA = HERE / "silicon.extxyz"
# README.md says how these were computed.
DFT: dict[str, float] = json.loads((HERE / "dft.json").read_text())
QUANTITIES = {
    "a0": "lattice parameter (Å)",
    "bulk_modulus": "bulk modulus (GPa)",
    "C11": "C11 (GPa)",
    "C12": "C12 (GPa)",
    "C44_clamped": "C44, atoms clamped (GPa)",
    "C44": "C44, atoms relaxed (GPa)",
    "optical_phonon": "optical phonon at Γ (THz)",
}


def crystal(repeat: int = 1, a0: float = DFT["a0"]) -> Atoms:
    """The perfect crystal, 8 · repeat³ atoms in a cube of edge repeat · a0 (Å)."""
    return bulk("Si", cubic=True, a=a0) * (repeat, repeat, repeat)


def volume_frames() -> list[Atoms]:
    """The labelled frames of the perfect crystal, from the smallest to the largest volume."""
    frames = [atoms for atoms in read(DATA, index=":") if atoms.info["config_type"] == "volume"]
    return sorted(frames, key=lambda atoms: atoms.get_volume())


def distorted_supercell(repeat: int, seed: int = 1) -> Atoms:
    """A strained and sheared supercell with atoms displaced by about 0.1 Å: nothing is zero by symmetry.

    The cell stays lower triangular, as LAMMPS wants it, so that forces and stress need no rotation.
    """
    atoms = crystal(repeat)
    strain = np.array([[0.01, 0.0, 0.0], [0.02, -0.01, 0.0], [-0.01, 0.015, 0.005]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, rng=np.random.default_rng(seed))
    return atoms
