"""The adsorbate with a random model: energies of the written structures, and molecules that stay at their sites."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from equipot.calculators import EquipotCalculator
from equipot.model_file import write_model
from tests.examples.running import end_of_example
from tests.models import make_potential

NAME = "adsorbate"
# In vectors of the surface cell, from an atom of the highest layer.
SITES = {"ontop": (0, 0), "bridge": (1 / 2, 0), "fcc": (1 / 3, 1 / 3), "hcp": (2 / 3, 2 / 3)}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    potential = make_potential(seed=1, species=("C", "O", "Cu"), repulsion="core")
    return write_model(tmp_path_factory.mktemp("models") / "model.pt", potential, verify=False)


def test_the_energies_are_those_of_the_written_structures(model, tmp_path, figures):
    short = ("--size", 2, "--layers", 2, "--fmax", 0.1)
    assert end_of_example(NAME, "--model", model, "--output", tmp_path, *short) == 0
    found = json.loads((tmp_path / "adsorbate.json").read_text())
    assert (tmp_path / "adsorbate.png").stat().st_size > 5000
    calculator, energies, structures = EquipotCalculator(model), {}, {}
    for name in ("slab", "gas", *SITES):
        atoms = read(tmp_path / f"{name}.extxyz")
        in_file = atoms.get_potential_energy()
        atoms.calc = calculator
        energies[name], structures[name] = atoms.get_potential_energy(), atoms
        assert in_file == pytest.approx(energies[name], abs=1e-6)
        assert list(atoms.pbc) == [name != "gas", name != "gas", False]
    for site in SITES:
        expected = energies[site] - energies["slab"] - energies["gas"]
        assert found["energies_eV"][site] == pytest.approx(expected, abs=1e-6)

    # The lower layer stays, and the molecule stays at its site.
    slab = structures["slab"]
    low = slab.get_tags() == 2
    for site, place in SITES.items():
        atoms = structures[site]
        np.testing.assert_allclose(atoms.positions[: len(slab)][low], slab.positions[low])
        carbon = atoms.positions[atoms.symbols == "C", :2]
        np.testing.assert_allclose(carbon, [place @ slab.cell.array[:2, :2] / 2], atol=1e-6)


def test_a_model_without_the_elements_is_refused(tmp_path):
    potential = make_potential(seed=1, species=("C", "O"))
    model = write_model(tmp_path / "model.pt", potential, verify=False)
    assert "Cu" in str(end_of_example(NAME, "--model", model, "--output", tmp_path))
