"""Stress per atom: the share that balances momentum, in LAMMPS as in ASE."""

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from equipot.calculators import EquipotCalculator
from tests.lammps.conftest import SPECIES
from tests.lammps.ranks import on_ranks
from tests.lammps.running import good, lmp, measure, measured, setup, write_data
from tests.lammps.structures import cases
from tests.lammps.test_energy_flux import crowd

TILTED = cases()["tilted"].atoms


@on_ranks(1, 2, 3)
def test_lammps_and_ase_share_the_stress_alike(tmp_path, double_file, ranks):
    write_data(tmp_path / "tilted.data", TILTED, list(SPECIES))
    found = measured(
        good(lmp(setup("tilted", double_file) + measure("tilted"), tmp_path, ranks)), tmp_path, "tilted"
    )
    atoms = TILTED.copy()
    atoms.calc = EquipotCalculator(double_file)
    expected = atoms.get_stresses() * atoms.get_volume()  # xx, yy, zz, yz, xz, xy
    np.testing.assert_allclose(found.atomic_stress, expected[:, [0, 1, 2, 5, 4, 3]], rtol=1e-6, atol=1e-8)


def misfits(atoms: Atoms, mode: int) -> np.ndarray:
    """Return dE/dA less the sum of the atoms' shares times the strain where they are, for several waves.

    The waves are u = A e sin(kz + phase) / k with `mode` periods in the cell; dE/dA is a finite difference.
    """
    k = 2 * np.pi * mode / atoms.cell[2, 2]
    shares = voigt_6_to_full_3x3_stress(atoms.get_stresses()) * atoms.get_volume()
    found = []
    for direction in np.eye(3):
        for phase in (0.0, np.pi / 2):
            angle = k * atoms.positions[:, 2] + phase
            wave = np.sin(angle)[:, None] * direction / k
            energies = []
            for amplitude in (1e-4, -1e-4):
                moved = atoms.copy()
                moved.calc = atoms.calc
                moved.positions += amplitude * wave
                energies.append(moved.get_potential_energy())
            by_energy = (energies[0] - energies[1]) / 2e-4
            found.append(by_energy - np.cos(angle) @ shares[:, 2, :] @ direction)
    return np.array(found)


def test_the_shares_give_the_energy_of_strain_in_parts_of_the_cell(double_file):
    # The strain is another in every part of the cell, and what an atom's share cannot know is how it changes along an
    # edge: with the square of the wave vector. Were the whole of an edge given to its centre, the misfit would fall in
    # proportion only, to a half and not a quarter.
    ratios = []
    for seed in range(3):
        atoms = crowd(14, 6.0, seed)
        long = atoms.repeat((1, 1, 6))
        long.positions += np.random.default_rng(seed).normal(0, 0.2, long.positions.shape)
        long.set_cell(np.diag(np.diag(long.cell.array)))
        long.calc = EquipotCalculator(double_file)
        coarse, fine = misfits(long, 2), misfits(long, 1)
        ratios.append(np.sqrt((fine**2).sum() / (coarse**2).sum()))
    assert np.median(ratios) < 0.35, ratios
