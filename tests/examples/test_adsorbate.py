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
SITES = ("ontop", "bridge", "fcc", "hcp")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    potential = make_potential(seed=1, species=("C", "O", "Cu"), repulsion="core")
    return write_model(tmp_path_factory.mktemp("models") / "model.pt", potential, verify=False)


def nearest_metals(atoms, n: int) -> np.ndarray:
    """The smallest distances in the plane between carbon and metals of the highest layer."""
    top = np.flatnonzero(atoms.get_tags() == 1)
    carbon = int(np.flatnonzero(atoms.symbols == "C")[0])
    flat = atoms.copy()
    flat.positions[:, 2] = 0
    return np.sort(flat.get_distances(carbon, top, mic=True))[:n]


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

    # The lower layer and the molecule's place in the plane stay.
    slab = structures["slab"]
    for site in SITES:
        atoms = structures[site][: len(slab)]
        low = slab.get_tags() == 2
        np.testing.assert_allclose(atoms.positions[low], slab.positions[low])
    edge = found["a_A"] / np.sqrt(2)
    assert nearest_metals(structures["ontop"], 1)[0] < edge / 4
    bridge, hollow = nearest_metals(structures["bridge"], 2), nearest_metals(structures["fcc"], 3)
    np.testing.assert_allclose(bridge, edge / 2, rtol=0.2)
    np.testing.assert_allclose(hollow, edge / np.sqrt(3), rtol=0.2)


def test_a_model_without_the_elements_is_refused(tmp_path):
    potential = make_potential(seed=1, species=("C", "O"))
    model = write_model(tmp_path / "model.pt", potential, verify=False)
    assert "Cu" in str(end_of_example(NAME, "--model", model, "--output", tmp_path))
