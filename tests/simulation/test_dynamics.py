"""Ensembles: what is conserved, which temperature comes out, and that a run goes on as if it had not stopped."""

import os
import signal

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from equipot.errors import ConfigError, DataError, NumericsError
from equipot.simulation.dynamics import (
    Ensemble,
    conserved_energy,
    degrees_of_freedom,
    hidden_state,
    integrator,
    set_hidden_state,
    set_velocities,
    temperature_of,
)
from equipot.simulation.simulation import observe, simulate
from tests.springs import A, Harmonic, K, Springs, fcc

ALL = {
    "nve": Ensemble("nve", 2.0),
    "bussi": Ensemble("nvt", 2.0, 300.0, thermostat_time=20.0),
    "langevin": Ensemble("nvt", 2.0, 300.0, thermostat="langevin", thermostat_time=20.0),
    "nose-hoover": Ensemble("nvt", 2.0, 300.0, thermostat="nose-hoover", thermostat_time=20.0),
    "npt": Ensemble("npt", 2.0, 300.0, 1.0, barostat_time=200.0),
    "npt, full cell": Ensemble("npt", 2.0, 300.0, 1.0, barostat_time=200.0, cell="full"),
}


def copper(temperature=300.0):
    atoms = bulk("Cu", cubic=True)
    atoms.calc = EMT()
    set_velocities(atoms, temperature, np.random.default_rng(0))
    return atoms


def argon():
    """Its calculator sums in an order that depends on the positions alone, unlike one with a list of neighbours."""
    atoms = fcc()
    atoms.calc = Springs()
    set_velocities(atoms, 300.0, np.random.default_rng(0))
    return atoms


def test_velocities_have_the_temperature_the_spread_of_the_masses_and_no_drift():
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True) * (6, 6, 6)
    set_velocities(atoms, 500.0, np.random.default_rng(1))
    assert temperature_of(atoms) == pytest.approx(500.0, rel=1e-12)
    np.testing.assert_allclose(atoms.get_momenta().sum(axis=0), 0, atol=1e-10)
    kinetic = 0.5 * np.square(atoms.get_momenta()).sum(axis=1) / atoms.get_masses()
    for element in ("Na", "Cl"):
        # 864 atoms: the mean is known within 2.8 %.
        assert kinetic[atoms.symbols == element].mean() == pytest.approx(1.5 * units.kB * 500, rel=0.08)
    assert degrees_of_freedom(atoms) == 3 * len(atoms) - 3


def test_fixed_atoms_are_at_rest_and_carry_no_heat():
    atoms = bulk("Cu", cubic=True)
    atoms.set_constraint(FixAtoms([0]))
    set_velocities(atoms, 300.0, np.random.default_rng(1))
    assert np.abs(atoms.get_momenta()[0]).max() == 0.0
    assert degrees_of_freedom(atoms) == 9
    assert temperature_of(atoms) == pytest.approx(300.0)


def test_one_atom_flies_straight():
    atoms = Atoms("Cu", cell=3 * [20.0], pbc=True)
    atoms.calc = EMT()
    set_velocities(atoms, 300.0, np.random.default_rng(1))
    velocity = atoms.get_velocities()[0]
    assert temperature_of(atoms) == pytest.approx(300.0)
    simulate(integrator(atoms, Ensemble("nve", 2.0), np.random.default_rng(1)), 10)
    np.testing.assert_allclose(atoms.positions[0], 20 * units.fs * velocity, rtol=1e-12)


def test_the_energy_error_of_constant_energy_falls_with_the_square_of_the_step():
    """Velocity Verlet is of second order, and over the periods of a harmonic crystal nothing drifts away."""
    errors = []
    for timestep in (4.0, 2.0):
        atoms = fcc()
        atoms.calc = Harmonic(atoms)
        set_velocities(atoms, 300.0, np.random.default_rng(2))
        totals = []
        dynamics = integrator(atoms, Ensemble("nve", timestep), np.random.default_rng(0))
        simulate(dynamics, round(4000 / timestep), each=lambda seen, t=totals: t.append(seen.total_eV))
        totals = np.array(totals)
        errors.append(totals.std())
        quarter = len(totals) // 4
        assert abs(totals[-quarter:].mean() - totals[:quarter].mean()) < 0.2 * totals.std()
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("name", ["bussi", "langevin", "nose-hoover"])
def test_thermostats_hold_the_temperature_of_the_freedom_that_there_is(name):
    """In a cell of 4 atoms 3N instead of 3N - 3 degrees of freedom would be a third too much."""
    atoms = fcc()
    atoms.calc = Harmonic(atoms)
    set_velocities(atoms, 300.0, np.random.default_rng(3))
    found = []
    ensemble = Ensemble("nvt", 4.0, 300.0, thermostat=name, thermostat_time=30.0)
    dynamics = integrator(atoms, ensemble, np.random.default_rng(4))
    simulate(dynamics, 3000, each=lambda seen: found.append(seen.temperature_K), each_interval=2)
    assert np.mean(found[200:]) == pytest.approx(300.0, rel=0.12)
    # The kinetic energy spreads as in the canonical ensemble: 2 T² / freedom. (Chains in a harmonic crystal beat.)
    if name != "nose-hoover":
        assert np.var(found[200:]) == pytest.approx(2 * 300.0**2 / 9, rel=0.3)
    np.testing.assert_allclose(atoms.get_momenta().sum(axis=0), 0, atol=1e-8)


def test_constant_pressure_holds_temperature_and_pressure():
    atoms = fcc()
    atoms.calc = Springs()
    set_velocities(atoms, 600.0, np.random.default_rng(5))
    found = []
    ensemble = Ensemble("npt", 5.0, 300.0, 10.0, thermostat_time=50.0, barostat_time=200.0)
    simulate(integrator(atoms, ensemble, np.random.default_rng(0)), 1200, each=found.append, each_interval=3)
    late = found[100:]
    assert np.mean([s.temperature_K for s in late]) == pytest.approx(300.0, rel=0.12)
    assert np.mean([s.pressure_GPa for s in late]) == pytest.approx(10.0, abs=1.0)
    assert found[0].pressure_GPa < 3
    # B = (C11 + 2 C12) / 3 = 4k / 3a
    shrunk = 1 - np.mean([s.volume_A3 for s in late]) / A**3
    assert shrunk == pytest.approx(10 * units.GPa / (4 * K / (3 * A)), rel=0.25)


@pytest.mark.parametrize("name", ["nve", "bussi", "nose-hoover", "npt", "npt, full cell"])
def test_what_is_called_conserved_is_conserved(name):
    atoms = argon()
    found = []
    simulate(integrator(atoms, ALL[name], np.random.default_rng(4)), 300, each=found.append)
    conserved = np.array([s.conserved_eV for s in found]) / len(atoms)
    potential = np.array([s.potential_eV for s in found]) / len(atoms)
    assert np.abs(conserved - conserved[0]).max() < 0.03 * np.ptp(potential)


def test_langevin_dynamics_has_no_conserved_energy():
    assert conserved_energy(integrator(copper(), ALL["langevin"], np.random.default_rng(0))) is None


@pytest.mark.parametrize("name", list(ALL))
def test_a_run_continues_bit_by_bit(name):
    whole, rng = argon(), np.random.default_rng(6)
    at_once = integrator(whole, ALL[name], rng)
    simulate(at_once, 20)

    first, rng = argon(), np.random.default_rng(6)
    dynamics = integrator(first, ALL[name], rng)
    simulate(dynamics, 12)
    second, new = fcc(), np.random.default_rng(99)
    second.set_cell(first.cell)
    second.positions = first.positions
    second.set_momenta(first.get_momenta())
    second.calc = Springs()
    new.bit_generator.state = rng.bit_generator.state
    again = integrator(second, ALL[name], new)
    assert set_hidden_state(again, hidden_state(dynamics))
    simulate(again, 8, first_step=12)
    for what in ("positions", "momenta"):
        np.testing.assert_array_equal(second.arrays[what], whole.arrays[what])
    np.testing.assert_array_equal(second.cell, whole.cell)
    assert conserved_energy(again) == conserved_energy(at_once)


def test_the_hidden_state_of_another_integrator_is_refused():
    bussi = integrator(copper(), ALL["bussi"], np.random.default_rng(0))
    chain = integrator(copper(), ALL["nose-hoover"], np.random.default_rng(0))
    before = hidden_state(chain)
    assert not set_hidden_state(chain, hidden_state(bussi))
    assert hidden_state(chain).keys() == before.keys()


def test_interruption_waits_for_the_step_and_keeps_its_frame():
    seen, kept = [], []

    def observe(now):
        seen.append(now.step)
        if now.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="after step 8"):
        simulate(
            integrator(copper(), ALL["nve"], np.random.default_rng(0)),
            100,
            each=observe,
            keep=lambda now: kept.append(now.step),
            keep_interval=5,
        )
    assert seen[-1] == 8
    assert kept == [0, 5, 8]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_that_explodes_stops_with_a_sentence():
    atoms = copper(temperature=3e5)
    with pytest.raises(NumericsError, match=r"stopped at step \d+ .*temperature is .* shorten --timestep"):
        simulate(integrator(atoms, Ensemble("nve", 20.0), np.random.default_rng(0)), 100)
    still = copper()
    still.arrays["momenta"][0, 0] = np.nan
    with pytest.raises(NumericsError, match="temperature is nan"):
        simulate(integrator(still, ALL["nve"], np.random.default_rng(0)), 5, first_step=1)


def test_the_pressure_of_a_layer_is_that_of_its_plane():
    """A gas that moves across its plane alone has a pressure there, but none in the plane."""
    gas = Atoms(
        "Ar2", [[0, 0, 2], [7, 3, 4]], cell=[20, 20, 20], pbc=(True, True, False), calculator=Springs()
    )
    gas.set_velocities([[0, 0, 0.1], [0, 0, -0.1]])
    dynamics = integrator(gas, ALL["nve"], np.random.default_rng(0))
    assert observe(dynamics, 0, 0.0).pressure_GPa == pytest.approx(0, abs=1e-12)
    gas.set_velocities([[0.1, 0, 0], [0, 0.1, 0]])
    # Each direction of the plane has twice half the kinetic energy, over the volume.
    expected = gas.get_kinetic_energy() / gas.get_volume() / units.GPa
    now = observe(dynamics, 0, 0.0)
    assert now.pressure_GPa == pytest.approx(expected, rel=1e-9)
    assert now.volume_A3 == pytest.approx(8000)
    gas.pbc = False
    assert observe(dynamics, 0, 0.0).pressure_GPa is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("nvt",), "nvt needs a temperature"),
        (("nvt", 1.0, -5.0), "temperature is -5 K"),
        (("nvt", 1.0, 0.0), "temperature is 0 K"),
        (("nve", 0.0), "timestep is 0 fs"),
        (("nve", float("nan")), "timestep is nan fs"),
        (("npt", 1.0, 300.0, float("nan")), "pressure is nan"),
        (("nph", 1.0, 300.0), "expected one of nve, nvt, npt"),
        (("nvt", 1.0, 300.0, 0.0, "berendsen"), "expected one of bussi"),
    ],
)
def test_ensembles_without_sense_are_errors(options, words):
    with pytest.raises(ConfigError, match=words):
        Ensemble(*options)


def test_what_an_ensemble_cannot_have_is_an_error():
    rng = np.random.default_rng(0)
    gas = molecule("N2")
    gas.calc = EMT()
    gas.set_cell([9, 9, 9])
    for pbc in (False, (True, True, False)):
        gas.pbc = pbc
        with pytest.raises(DataError, match=r"npt needs a structure that is periodic.*use nvt"):
            integrator(gas, ALL["npt"], rng)
    with pytest.raises(DataError, match="at rest"):
        integrator(gas, ALL["bussi"], rng)
    fixed = copper()
    fixed.set_constraint(FixAtoms([0]))
    with pytest.raises(DataError, match="cannot hold some fixed"):
        integrator(fixed, ALL["npt"], rng)
    fixed.set_constraint(FixAtoms(range(4)))
    with pytest.raises(DataError, match="no atom can move"):
        integrator(fixed, ALL["nose-hoover"], rng)
