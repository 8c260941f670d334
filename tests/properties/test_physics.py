"""Crystals whose answers are known: Lennard-Jones analytically, Stillinger-Weber silicon from the literature."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from matscipy.calculators.manybody import Manybody
from matscipy.calculators.manybody.explicit_forms import StillingerWeber
from matscipy.calculators.manybody.explicit_forms.stillinger_weber import Stillinger_Weber_PRB_31_5262_Si

from equipot.errors import DataError, NumericsError
from equipot.properties.elastic import elastic_constants_cubic
from equipot.properties.physics import diamond_sublattice, equation_of_state, gamma_optical_phonon
from tests.springs import A, K, Springs, fcc

A0 = 5.4310


@pytest.fixture(scope="module")
def stillinger_weber():
    return Manybody(**StillingerWeber(Stillinger_Weber_PRB_31_5262_Si))


@pytest.fixture(scope="module")
def silicon():
    return bulk("Si", cubic=True, a=A0)


def test_lennard_jones_has_the_lattice_and_bulk_modulus_of_its_lattice_sums():
    """Face-centred sums A6 = 14.454, A12 = 12.132 (Ashcroft and Mermin, chapter 20).

    d/σ = (2 A12 / A6)^(1/6) = 1.0902, E = -A6² ε / (2 A12) = -8.61 ε, B = 4 ε A12 (A6 / A12)^(5/2) / σ³ = 75.2 ε/σ³
    """
    epsilon, sigma = 0.02, 2.5
    # Shells up to 7σ: the tail beyond is below 1 % of the energy.
    calc = LennardJones(epsilon=epsilon, sigma=sigma, rc=7 * sigma)
    atoms = bulk("Ar", "fcc", a=1.09 * sigma * np.sqrt(2), cubic=True)
    found = equation_of_state(atoms, calc, np.linspace(-0.02, 0.02, 7))
    assert found["a0"] == pytest.approx(1.0902 * sigma * np.sqrt(2), rel=2e-3)
    assert found["energy"] == pytest.approx(-8.61 * epsilon * 4, rel=1e-2)
    assert found["bulk_modulus"] == pytest.approx(75.2 * epsilon / sigma**3 * 160.21766, rel=2e-2)
    assert found["volumes"].shape == found["energies"].shape == (7,)


def test_an_energy_of_almost_zero_at_rest_does_not_disturb_the_fit():
    """Springs between nearest neighbours of an fcc crystal: B = (C11 + 2 C12) / 3 = 4 k / (3 a)."""
    found = equation_of_state(fcc(), Springs(), np.linspace(-0.01, 0.01, 9))
    assert found["a0"] == pytest.approx(A, rel=1e-4)
    assert found["energy"] == pytest.approx(0.0, abs=1e-4)
    assert found["bulk_modulus"] == pytest.approx(4 * K / (3 * A) / units.GPa, rel=1e-2)


def test_stillinger_weber_silicon_has_its_elastic_constants(silicon, stillinger_weber):
    """151.4, 76.4, 56.4 GPa, C44 without relaxation 117.2 (Balamane, Halicioglu and Tiller, PRB 46, 2250)."""
    silicon = silicon.copy()
    silicon.set_constraint(FixAtoms([0]))  # must not stand in the way of the relaxation
    c = elastic_constants_cubic(silicon, stillinger_weber)
    assert c["C11"] == pytest.approx(151.4, rel=0.02)
    assert c["C12"] == pytest.approx(76.4, rel=0.02)
    assert c["C44"] == pytest.approx(56.4, rel=0.02)
    assert c["C44_clamped"] == pytest.approx(117.2, rel=0.08)
    eos = equation_of_state(silicon, stillinger_weber)
    assert eos["a0"] == pytest.approx(A0, abs=1e-3)
    assert eos["energy"] / 8 == pytest.approx(-4.3363, abs=1e-3)  # two bonds of 2.1682 eV per atom
    assert eos["bulk_modulus"] == pytest.approx((c["C11"] + 2 * c["C12"]) / 3, rel=0.01)


def test_the_optical_phonon_is_the_highest_eigenvalue_of_the_force_constants(silicon, stillinger_weber):
    frequency = gamma_optical_phonon(silicon, stillinger_weber, diamond_sublattice(silicon))
    # The whole force-constant matrix of the primitive cell at Γ, by finite differences.
    primitive = bulk("Si", a=A0) * (3, 3, 3)
    primitive.calc = stillinger_weber
    h, first, second = 0.02, np.arange(0, 54, 2), np.arange(1, 54, 2)
    matrix = np.zeros((6, 6))
    for b, sublattice in enumerate((first, second)):
        for axis in range(3):
            for sign in (1, -1):
                moved = primitive.copy()
                moved.positions[sublattice, axis] += sign * h
                moved.calc = stillinger_weber
                f = moved.get_forces()
                row = np.concatenate([f[first].mean(axis=0), f[second].mean(axis=0)])
                matrix[3 * b + axis] -= sign * row / (2 * h)
    omega = np.sqrt(np.linalg.eigvalsh(matrix / 28.085)[-1])
    # sqrt(eV/Å²/amu) = 98.2269 rad/ps
    assert frequency == pytest.approx(omega * 98.2269 / (2 * np.pi), rel=1e-3)
    assert 14 < frequency < 20


def test_the_sublattice_is_found_in_cubic_and_primitive_cells(silicon):
    assert diamond_sublattice(silicon).tolist() == [0, 2, 4, 6]
    primitive = bulk("Si", a=A0) * (2, 3, 2)
    assert diamond_sublattice(primitive).tolist() == list(range(0, 24, 2))
    with pytest.raises(DataError, match="not a perfect diamond crystal"):
        diamond_sublattice(bulk("Cu", cubic=True))


def test_the_given_atoms_stay_as_they_are(silicon, stillinger_weber):
    before = silicon.copy()
    equation_of_state(silicon, stillinger_weber)
    gamma_optical_phonon(silicon, stillinger_weber, diamond_sublattice(silicon))
    assert silicon == before
    assert silicon.calc is None


def test_an_energy_without_a_minimum_in_the_range_is_an_error(silicon, stillinger_weber):
    with pytest.raises(NumericsError, match="no minimum between"):
        equation_of_state(silicon, stillinger_weber, np.linspace(0.03, 0.06, 6))
    with pytest.raises(NumericsError, match="no strain changes the energy"):
        equation_of_state(bulk("Si", a=4 * A0), stillinger_weber)
    with pytest.raises(DataError, match="at least 5"):
        equation_of_state(silicon, stillinger_weber, [0.0, 0.01])


def test_a_sublattice_that_is_not_half_of_the_atoms_is_an_error(stillinger_weber):
    with pytest.raises(DataError, match="expected half"):
        gamma_optical_phonon(Atoms("Si3", np.eye(3) * 3), stillinger_weber, np.array([0]))
