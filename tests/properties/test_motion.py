"""A short run of a harmonic crystal, in which nothing drifts."""

import numpy as np
import pytest
from ase import units

from equipot.errors import DataError, NumericsError
from equipot.properties.motion import measure_motion
from tests.springs import Harmonic, Springs, fcc


def test_a_harmonic_crystal_does_not_drift_and_has_half_its_heat_in_the_springs():
    atoms = fcc() * (2, 1, 1)
    found = measure_motion(atoms, Harmonic(atoms), 300.0, duration=4.0, timestep=2.0)
    assert abs(found.drift) < 1e-6
    assert 0 < found.deviation < 1e-3
    assert len(found.times) == len(found.energies) == 2001
    assert found.times[-1] == pytest.approx(4.0)
    assert found.temperatures.mean() == pytest.approx(300.0, rel=0.3)
    # Equipartition: the total energy is twice the kinetic energy's mean.
    heat = 3 * units.kB * found.temperatures.mean() * 7 / 8
    assert found.energies.mean() == pytest.approx(heat, rel=0.1)
    assert found.pressures is None
    assert len(found.frames) == 51
    assert 0 < found.seconds_per_step < 0.1
    np.testing.assert_array_equal(atoms.positions, (fcc() * (2, 1, 1)).positions)


def test_forces_that_do_work_on_the_whole_are_seen_as_drift():
    """Friction of 1/ps takes the kinetic energy away."""

    class Wrong(Springs):
        def calculate(self, atoms=None, properties=("energy",), system_changes=()):
            super().calculate(atoms, properties, system_changes)
            self.results["forces"] -= self.atoms.get_momenta() / (1000 * units.fs)

    found = measure_motion(fcc(), Wrong(), 300.0, duration=0.4, timestep=2.0, equilibration=0.1)
    assert found.drift < -0.01
    assert found.pressures is not None


def test_a_run_of_no_length_or_of_too_much_heat_is_an_error():
    with pytest.raises(DataError, match="2 steps"):
        measure_motion(fcc(), Springs(), duration=0.002)
    with pytest.raises(NumericsError, match="temperature is"):
        measure_motion(fcc(), Springs(), 1e6)
