"""Radial distributions: an ideal gas has none, a crystal has its shells."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from equipot.errors import DataError
from equipot.properties.rdf import radial_distribution


def gas(n, seed, cell):
    rng = np.random.default_rng(seed)
    elements = rng.choice(["Si", "O"], n, p=[0.3, 0.7])
    elements[:2] = ["Si", "O"]
    return Atoms(elements, scaled_positions=rng.random((n, 3)), cell=cell, pbc=True)


def test_an_ideal_gas_has_one_everywhere_for_all_pairs():
    cell = [[9.0, 0, 0], [2.0, 8.0, 0], [-1.0, 1.0, 10.0]]
    found = radial_distribution([gas(60, seed, cell) for seed in range(300)], 4.0, 8)
    # Over everything it is known within 0.2 %: a gas of 60 instead of 59 others would be seen.
    assert np.average(found.total, weights=found.r**2) == pytest.approx(1.0, abs=0.006)
    # The innermost shell holds few pairs.
    np.testing.assert_allclose(found.total[1:], 1.0, atol=0.05)
    for name in ("O-O", "O-Si", "Si-Si"):
        np.testing.assert_allclose(found.pairs[name][2:], 1.0, atol=0.15)


def test_a_crystal_has_its_shells_with_their_numbers_of_neighbours():
    atoms = bulk("Cu", cubic=True, a=3.6) * (3, 3, 3)
    found = radial_distribution([atoms], 5.2, 259)
    edges = np.linspace(0, 5.2, 260)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    density = (len(atoms) - 1) / atoms.get_volume()
    neighbours = found.total * shells * density
    peaks = {round(float(r), 1): n for r, n in zip(found.r, neighbours) if n > 0}
    assert peaks == pytest.approx({2.5: 12, 3.6: 6, 4.4: 24, 5.1: 12})
    assert found.first_peak[0] == pytest.approx(3.6 / np.sqrt(2), abs=0.02)
    np.testing.assert_array_equal(found.pairs["Cu-Cu"], found.total)


def test_frames_without_a_density_or_of_other_elements_are_errors():
    with pytest.raises(DataError, match="not periodic in all directions"):
        radial_distribution([molecule("N2")], 3.0)
    with pytest.raises(DataError, match="no frames"):
        radial_distribution([], 3.0)
    with pytest.raises(DataError, match="same elements"):
        radial_distribution([bulk("Cu"), bulk("Ag")], 3.0)
    with pytest.raises(DataError, match="largest distance is 0"):
        radial_distribution([bulk("Cu")], 0.0)


def test_one_atom_alone_sees_only_its_images():
    found = radial_distribution([Atoms("Ar", cell=3 * [4.0], pbc=True)], 3.0)
    assert not found.total.any()
