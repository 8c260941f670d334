"""The example on vibrations of a molecule: its formulas against a spring and a cosine, and its shortest form."""

import importlib.util
import json

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from tests.examples.running import definitions, end_of_example
from tests.springs import THZ, Springs

NAME = "molecule"
PER_CM = 33.35641  # 1/cm per THz


def test_the_harmonic_frequency_is_that_of_a_spring():
    k, d = 30.0, 1.2
    atoms = Atoms("CO", [[0, 0, 0], [0, 0.3 * d, np.sqrt(1 - 0.09) * d]], cell=[9, 9, 9])
    m = atoms.get_masses()
    exact = np.sqrt(k * (1 / m[0] + 1 / m[1])) * THZ * PER_CM
    found = definitions(NAME, "vibrations")["harmonic"](atoms, Springs(k, d))
    np.testing.assert_allclose(found, [exact], rtol=1e-4)


def test_the_density_of_states_has_bands_where_the_velocities_oscillate():
    vibrations = definitions(NAME, "vibrations")
    interval, times = 2.0, 2.0 * np.arange(4000)
    velocities = np.zeros((len(times), 2, 3))
    for atom, wave_number in enumerate((400.0, 3000.0)):
        velocities[:, atom, 0] = np.cos(2 * np.pi * wave_number * times / vibrations["PER_CM"])
    x, density = vibrations["density_of_states"]([velocities], interval, np.array([1.0, 3.0]))
    weights = [density[np.abs(x - w) < 30].sum() * (x[1] - x[0]) for w in (400, 3000)]
    # Each atom counts with its mass.
    np.testing.assert_allclose(weights, [0.25, 0.75], atol=1e-3)
    assert vibrations["mean_wave_number"](x, density, 2500, 3500) == pytest.approx(3000, abs=1)


@pytest.mark.skipif(
    importlib.util.find_spec("tblite") is None, reason="the Python package tblite is not installed"
)
def test_the_shortest_form_compares_a_model_with_xtb(tmp_path):
    short = ("--molecule", "H2O", "--frames", 8, "--minutes", 0.03, "--runs", 1, "--time", 0.25)
    assert end_of_example(NAME, "--output", tmp_path, *short) == 0
    found = json.loads((tmp_path / "vibrations.json").read_text())
    # GFN2-xTB's water: a bend near 1540 1/cm and two stretches near 3640 1/cm.
    np.testing.assert_allclose(found["xTB"], [1540, 3640, 3650], rtol=0.03)
    assert len(found["model"]) == 3
    frames = read(tmp_path / "train.extxyz", ":")
    assert len(frames) == 8
    assert {"energy", "forces"} == set(frames[0].calc.results)
    assert (tmp_path / "vibrations.png").is_file()


@pytest.mark.skipif(
    importlib.util.find_spec("tblite") is not None, reason="the Python package tblite is installed"
)
def test_without_tblite_a_sentence_says_how_to_install_it(tmp_path):
    assert "pip install tblite" in str(end_of_example(NAME, "--output", tmp_path))


def test_an_unknown_molecule_is_named(tmp_path, capsys):
    assert end_of_example(NAME, "--output", tmp_path, "--molecule", "XY9") == 2
    assert "--molecule XY9" in capsys.readouterr().err
