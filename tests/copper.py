"""Labelled structures made on the spot: EMT copper has exact energies, forces and stresses."""

from dataclasses import replace

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT

from equipot.structures import Frame, frame_from_atoms


def labelled(atoms: Atoms, config_type: str = "default", source: str = "") -> Frame:
    """A frame with EMT's energy, forces and, where the cell has a volume, stress."""
    atoms = atoms.copy()
    atoms.calc = EMT()
    atoms.get_potential_energy()
    atoms.get_forces()
    if atoms.pbc.any() and atoms.cell.rank == 3:
        atoms.get_stress()
    return replace(frame_from_atoms(atoms, source=source), config_type=config_type, unread=())


def scan(n: int = 9) -> list[Frame]:
    """A volume scan of copper, shuffled."""
    frames = []
    for k in np.random.default_rng(0).permutation(n):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell * np.linspace(0.96, 1.05, n)[k], scale_atoms=True)
        frames.append(labelled(atoms, "volume", f"scan.extxyz#{k}"))
    return frames


def strained_layers(n: int = 10) -> list[Frame]:
    """Layers under strain in their plane, with another vacuum in every frame."""
    rng = np.random.default_rng(2)
    frames = []
    for k in range(n):
        atoms = fcc111("Cu", (1, 1, 3), vacuum=5.0)
        atoms.cell[2] *= 1 + 0.1 * k
        strain = np.zeros((3, 3))
        strain[:2, :2] = rng.normal(0, 0.01, (2, 2))
        atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
        frames.append(labelled(atoms, "layer", f"layers.extxyz#{k}"))
    return frames


def rattled(n: int = 12, strain: float = 0.0) -> list[Frame]:
    """Steps of 0.02 Å from one copper cell to the next, as a trajectory has them."""
    rng = np.random.default_rng(1)
    atoms = bulk("Cu", cubic=True)
    atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
    frames = []
    for k in range(n):
        atoms.positions += rng.normal(0, 0.02, atoms.positions.shape)
        if strain:
            atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0, strain, (3, 3))), scale_atoms=True)
        frames.append(labelled(atoms, "md", f"md.extxyz#{k}"))
    return frames


def strained_and_rattled(seed: int = 0, sizes: tuple[int, ...] = (4, 32, 31)) -> list[Frame]:
    """Far-apart structures as for a training: cells, supercells and supercells with a vacancy, by number of atoms."""
    rng = np.random.default_rng(seed)
    frames = []
    for size in sizes:
        for _ in range({4: 30, 32: 20, 31: 10}[size]):
            atoms = bulk("Cu", cubic=True).repeat(1 if size == 4 else 2)
            if size == 31:
                del atoms[int(rng.integers(32))]
            strain = rng.uniform(-1, 1, (3, 3)) * rng.uniform(0.015, 0.03)
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
            atoms.positions += rng.normal(0, rng.uniform(0.02, 0.15), atoms.positions.shape)
            frames.append(labelled(atoms, source=f"copper.extxyz#{len(frames)}"))
    return frames
