"""Dimers of Lennard-Jones atoms, whose curve and whose step at the cutoff are known."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones

from equipot.calculators import EquipotCalculator
from equipot.model_file import write_model
from equipot.properties.dimers import dimer
from tests.models import make_potential

EPSILON, SIGMA, CUTOFF = 0.8, 1.5, 4.0


def force(r):
    return 24 * EPSILON * (2 * (SIGMA / r) ** 12 - (SIGMA / r) ** 6) / r


@pytest.fixture(params=[True, False], ids=["at once", "one by one"])
def lennard_jones(request):
    calculator = LennardJones(epsilon=EPSILON, sigma=SIGMA, rc=CUTOFF)
    if not request.param:
        calculator.implemented_properties = ["energy", "forces"]
    return calculator


def test_the_curve_and_its_minimum_are_those_of_the_pair(lennard_jones):
    found = dimer("Ar", "Ar", lennard_jones, CUTOFF, closest=1.4)
    inside = found.distances < CUTOFF
    shift = 4 * EPSILON * ((SIGMA / CUTOFF) ** 12 - (SIGMA / CUTOFF) ** 6)
    r = found.distances[inside]
    energy = 4 * EPSILON * ((SIGMA / r) ** 12 - (SIGMA / r) ** 6) - shift
    np.testing.assert_allclose(found.energies[inside], energy, rtol=1e-9)
    np.testing.assert_allclose(found.forces[inside], force(r), rtol=1e-9)
    assert (found.energies[~inside] == 0).all()
    at, depth = found.minimum
    assert at == pytest.approx(2 ** (1 / 6) * SIGMA, abs=2e-3)
    assert depth == pytest.approx(-EPSILON - shift, abs=2e-3)
    assert found.work < 1e-3


def test_a_truncated_force_is_found_with_its_jump(lennard_jones):
    found = dimer("Ar", "Ar", lennard_jones, CUTOFF)
    slope = (force(CUTOFF + 1e-5) - force(CUTOFF - 1e-5)) / 2e-5
    assert found.jump_force == pytest.approx(abs(force(CUTOFF)), rel=1e-5)
    assert found.jump_slope == pytest.approx(abs(slope), rel=1e-3)
    assert found.jump_energy < 1e-6


def test_a_smooth_end_has_no_jump():
    smooth = LennardJones(epsilon=EPSILON, sigma=SIGMA, rc=CUTOFF, ro=0.6 * CUTOFF, smooth=True)
    found = dimer("Ar", "Ar", smooth, CUTOFF)
    assert found.jump_energy < 1e-7
    assert found.jump_force < 1e-6
    assert found.jump_slope > 1e-2  # (1 - x)² has a curvature there


def test_a_model_ends_smoothly_and_its_forces_are_the_slope_of_its_energies(tmp_path):
    potential = make_potential(seed=1, pair_cutoffs={"Si-O": 3.1})
    calculator = EquipotCalculator(write_model(tmp_path / "model.pt", potential, verify=False))
    for pair, cutoff in ((("Si", "Si"), 4.0), (("Si", "O"), 3.1)):
        found = dimer(*pair, calculator, cutoff)
        assert found.jump_energy < 1e-9
        assert found.jump_force < 1e-6
        # The envelope has no slope here; the spline's last piece has a little.
        assert found.jump_slope < 1e-3
        assert (found.energies[found.distances >= cutoff] == 0).all()
        assert np.abs(found.energies[found.distances < 0.9 * cutoff]).max() > 1e-3
        assert found.work < 1e-4
        alone = Atoms(list(pair), positions=[[0, 0, 0], [found.distances[50], 0, 0]])
        alone.calc = calculator
        assert found.forces[50] == pytest.approx(alone.get_forces()[1, 0], abs=1e-10)


def test_a_repulsive_pair_has_no_minimum():
    repulsive = LennardJones(epsilon=EPSILON, sigma=3.9, rc=CUTOFF)
    assert dimer("Ar", "Ar", repulsive, CUTOFF).minimum is None
