"""Structures that are hard for a distributed potential, in LAMMPS's frame (lower triangular cells)."""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import bulk

from equipot.neighbours import neighbour_list


@dataclass
class Case:
    atoms: Atoms
    boundary: str = "p p p"
    before: str = ""  # commands before the box exists
    after: str = ""  # commands before the run
    gaps_in_ids: bool = False


def _jittered(cell: np.ndarray, repeat: tuple[int, int, int], seed: int) -> Atoms:
    atoms = bulk("Si", "diamond", a=5.4, cubic=True).repeat(repeat)
    atoms.set_cell(cell, scale_atoms=True)
    rng = np.random.default_rng(seed)
    atoms.positions += rng.uniform(-0.25, 0.25, atoms.positions.shape)
    atoms.symbols = rng.choice(["Si", "O"], len(atoms))
    atoms.wrap()
    return atoms


def _random(cell: np.ndarray, n: int) -> Atoms:
    """No two atoms closer than 1.4 Å."""
    rng = np.random.default_rng(n)
    while True:
        atoms = Atoms(rng.choice(["Si", "O"], n), scaled_positions=rng.random((n, 3)), cell=cell, pbc=True)
        if len(neighbour_list(atoms.positions, np.asarray(atoms.cell), atoms.pbc, 1.4)[0][0]) == 0:
            return atoms


def cases() -> dict[str, Case]:
    tilted = np.array([[10.8, 0, 0], [3.9, 10.6, 0], [-4.2, 2.8, 11.0]])
    slab = _jittered(np.diag([10.8, 10.8, 5.4]), (2, 2, 1), 2)
    slab.pbc = [True, True, False]
    slab.cell[2, 2] = 14.0
    slab.positions[:, 2] += 4.0
    slab.wrap()
    tiny = Atoms("SiO", positions=[[0.1, 0.2, 0.1], [1.5, 1.4, 1.6]], cell=[3.0, 2.9, 3.1], pbc=True)
    # In x one crowd at the left, then nothing, then an atom alone: on two and four ranks some own nothing.
    scattered = Atoms(
        "SiOSiO",
        positions=[[1.0, 5.0, 5.0], [2.6, 5.2, 5.1], [2.2, 6.9, 5.6], [38.0, 5.0, 5.0]],
        cell=[40.0, 10.0, 10.0],
        pbc=False,
    )
    nothing = Atoms(cell=[10.0, 10.0, 10.0], pbc=True)
    long = _jittered(np.diag([5.4, 10.8, 16.2]), (1, 2, 3), 5)
    steep = np.array([[10.8, 0, 0], [9.7, 10.6, 0], [-9.2, 8.9, 11.0]])
    thin = np.array([[3.1, 0, 0], [1.4, 16.0, 0], [-1.3, 6.1, 3.3]])  # one cutoff is longer than two edges
    return {
        "tilted": Case(_jittered(tilted, (2, 2, 2), 1)),
        "slab": Case(slab, boundary="p p f"),
        "tiny": Case(tiny),
        "scattered": Case(scattered, boundary="f f f", before="processors * 1 1"),
        "shrunk": Case(scattered, boundary="s s s"),
        "alone": Case(scattered[3:], boundary="f f f"),
        "nothing": Case(nothing),
        "tiled": Case(
            _jittered(np.diag([10.8, 10.8, 10.8]), (2, 2, 2), 4),
            before="comm_style tiled",
            after="balance 1.0 rcb",
        ),
        "tiled_steep": Case(
            _jittered(steep, (2, 2, 2), 6), before="box tilt large\ncomm_style tiled", after="balance 1.0 rcb"
        ),
        "steep": Case(_jittered(steep, (2, 2, 2), 6), before="box tilt large"),
        "thin": Case(_random(thin, 9), before="box tilt large\nprocessors * 1 1"),
        # Each rank has atoms that no other asks for.
        "rod": Case(_jittered(np.diag([32.4, 5.4, 5.4]), (6, 1, 1), 7), before="processors * 1 1"),
        "cut_in_z": Case(long, before="processors 1 1 *"),
        "cut_in_y": Case(long, before="processors 1 * 1"),
        "uneven": Case(long, before="processors 1 1 *", after="balance 1.0 shift z 10 1.01"),
        "gaps_in_ids": Case(long, gaps_in_ids=True),
    }
