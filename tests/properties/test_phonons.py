"""Phonons of springs, known at every wave vector."""

import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from scipy.integrate import trapezoid

from equipot.errors import ConfigError, DataError, NumericsError
from equipot.properties.phonons import frequencies_at, phonons, supercell_of_length
from tests.springs import THZ, A, K, Springs, fcc, frequencies

pytest.importorskip("phonopy")


@pytest.fixture(scope="module")
def argon():
    return phonons(fcc(), Springs(), (2, 2, 2))


def test_bands_are_those_of_the_springs_at_every_wave_vector(argon):
    """Nearest neighbours fit into the supercell, so nothing is lost between the wave vectors that fit."""
    reciprocal = 2 * np.pi * np.linalg.inv(argon.phonon.primitive.cell).T
    compared = 0
    for q_points, found in zip(argon.phonon.band_structure.qpoints, argon.bands.frequencies):
        for q, f in zip(q_points[::5], found[::5]):
            np.testing.assert_allclose(np.sort(f), frequencies(q @ reciprocal, 39.948), atol=3e-3)
            compared += 1
    assert compared > 40
    assert not argon.imaginary


def test_acoustic_modes_at_gamma_do_not_move(argon):
    assert argon.gamma.shape == (3,)
    np.testing.assert_allclose(argon.gamma, 0, atol=1e-4)
    assert argon.acoustic < 1e-2


def test_noise_in_the_forces_leaves_acoustic_modes_at_rest_and_is_told():
    class Noisy(Springs):
        rng = np.random.default_rng(0)

        def calculate(self, *arguments, **named):
            super().calculate(*arguments, **named)
            self.results["forces"] += self.rng.normal(scale=1e-4, size=(len(self.atoms), 3))

    found = phonons(fcc(), Noisy(), (2, 2, 2))
    assert found.acoustic > 1e-2
    np.testing.assert_allclose(found.gamma, 0, atol=1e-4)


def test_the_path_is_that_of_the_lattice(argon):
    names = [name for _, name in argon.bands.ticks]
    assert names == ["Γ", "X", "W", "K", "Γ", "L", "U", "W", "L", "K|U", "X"]
    at = [x for x, _ in argon.bands.ticks]
    assert at == sorted(at)
    assert at[1] == pytest.approx(1 / A, rel=1e-6)


def test_the_density_of_states_counts_all_modes_and_ends_at_the_highest(argon):
    omega, density = argon.dos.T
    assert trapezoid(density, omega) == pytest.approx(3.0, rel=0.02)
    highest = frequencies(2 * np.pi / A * np.array([1, 0, 0]), 39.948).max()
    assert omega[density > 0.01].max() == pytest.approx(highest, rel=0.03)


def test_hot_crystals_have_the_heat_capacity_of_dulong_and_petit(argon):
    kelvin, _, entropy, capacity = argon.thermal.T
    assert capacity[-1] == pytest.approx(3 * 8.31446, rel=0.01)
    assert (np.diff(entropy) > 0).all()
    assert (kelvin[0], capacity[0]) == (0.0, 0.0)


def test_the_optical_mode_of_two_masses_is_that_of_the_springs_between_them():
    """Rocksalt, two springs along every axis: ω² = 2k (1/m₁ + 1/m₂), threefold."""
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    found = phonons(atoms, Springs(K, 2.8), (2, 2, 2))
    expected = np.sqrt(2 * K * (1 / 22.98976928 + 1 / 35.45)) * THZ
    np.testing.assert_allclose(found.gamma[3:], expected, rtol=1e-3)
    np.testing.assert_allclose(found.gamma[:3], 0, atol=1e-3)
    assert len(found.gamma) == 6


def test_masses_of_the_structure_count():
    heavy = fcc()
    heavy.set_masses(4 * heavy.get_masses())
    found = phonons(heavy, Springs(), (2, 2, 2))
    reciprocal = 2 * np.pi * np.linalg.inv(found.phonon.primitive.cell).T
    q = np.array([0.5, 0.5, 0.5])
    expected = frequencies(q @ reciprocal, 4 * 39.948)
    np.testing.assert_allclose(frequencies_at(found.phonon, [q])[0], expected, atol=3e-3)


def test_an_unstable_crystal_is_named_with_the_wave_vector_of_its_mode():
    """Body-centred copper falls to the side in EMT."""
    found = phonons(bulk("Cu", "bcc", a=2.87), EMT(), (4, 4, 4))
    assert found.imaginary
    worst = found.imaginary[0]
    assert worst.fits
    frequency = frequencies_at(found.phonon, [worst.q]).min()
    assert worst.frequency == pytest.approx(-frequency)
    np.testing.assert_allclose(4 * worst.q, np.round(4 * worst.q), atol=1e-9)
    assert "imaginary mode" in worst.sentence()
    assert f"{worst.frequency:.3f}i THz at q = (" in worst.sentence()


def test_supercells_reach_the_length_between_faces():
    atoms = bulk("Si", a=5.43)
    heights = atoms.get_volume() / np.linalg.norm(np.cross(atoms.cell[1], atoms.cell[2]))
    times = supercell_of_length(atoms, 12.0)
    assert times == (4, 4, 4)
    assert 3 * heights < 12.0 <= 4 * heights
    assert supercell_of_length(fcc(), 2 * A) == (2, 2, 2)
    assert supercell_of_length(fcc(), 0.1) == (1, 1, 1)


def test_what_has_no_phonons_is_an_error():
    with pytest.raises(DataError, match="phonons need a crystal"):
        phonons(molecule("N2"), EMT())
    with pytest.raises(NumericsError, match="no displacement causes a force"):
        phonons(bulk("Ar", a=10 * A), Springs())
    on_each_other = Atoms("Ar2", np.zeros((2, 3)), cell=[6, 6, 6], pbc=True)
    with pytest.raises(DataError, match="not recognised"):
        phonons(on_each_other, Springs())
    with pytest.raises(DataError, match="no atoms"):
        phonons(Atoms(pbc=True), EMT())
    with pytest.raises(ConfigError, match="three numbers of 1 or more"):
        phonons(fcc(), Springs(), (2, 0, 2))
    with pytest.raises(ConfigError, match="displacement is 0"):
        phonons(fcc(), Springs(), displacement=0.0)


def test_without_phonopy_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "phonopy", None)
    with pytest.raises(ConfigError, match="pip install phonopy"):
        phonons(fcc(), Springs())
