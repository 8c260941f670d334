"""The vacancy hop with a random model of copper that has a minimum near its lattice parameter."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from equipot.calculators import EquipotCalculator
from equipot.model_file import write_model
from tests.examples.running import end_of_example
from tests.models import make_potential


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    potential = make_potential(seed=2, species=("Cu",), repulsion="core")
    return write_model(tmp_path_factory.mktemp("models") / "copper.pt", potential, verify=False)


def test_the_barrier_is_that_of_a_symmetric_path(model, tmp_path, figures):
    options = ("--repeat", 2, "--images", 3, "--fmax", 0.05)
    assert end_of_example("vacancy_hop", "--model", model, "--output", tmp_path, *options) == 0
    assert (tmp_path / "path.png").stat().st_size > 5000
    values = json.loads((tmp_path / "barrier.json").read_text())
    path = read(tmp_path / "path.extxyz", ":")
    assert [len(image) for image in path] == [31] * 5

    # Energies and forces in the file are those of their own structures, although the images share a calculator.
    calculator = EquipotCalculator(model)
    for image in path:
        energy, forces = image.get_potential_energy(), image.get_forces()
        image.calc = calculator
        np.testing.assert_allclose(energy, image.get_potential_energy(), atol=1e-4)
        np.testing.assert_allclose(forces, image.get_forces(), atol=1e-4)
    energies = np.array([image.get_potential_energy() for image in path])
    np.testing.assert_allclose(values["path_eV"], energies - energies[0], atol=1e-4)
    assert values["migration_eV"] == pytest.approx(energies.max() - energies[0], abs=1e-4)

    # The hop back is the mirror image of the hop, and the middle of the path is a saddle point.
    assert values["back_eV"] == pytest.approx(values["migration_eV"], abs=2e-3)
    np.testing.assert_allclose(energies, energies[::-1], atol=5e-3)
    assert energies.argmax() == 2
    assert np.linalg.norm(path[2].get_forces(), axis=1).max() < 0.05

    # One atom moves to the place of a neighbour; no other changes its place.
    moved = path[-1].positions - path[0].positions
    lengths = np.linalg.norm(
        moved - path[0].cell.array[0, 0] * np.round(moved / path[0].cell.array[0, 0]), axis=1
    )
    neighbour = values["lattice_A"] / np.sqrt(2)
    assert np.sort(lengths)[-1] == pytest.approx(neighbour, rel=0.1)
    assert np.sort(lengths)[-2] < neighbour / 4


def test_the_highest_image_climbs_to_the_saddle_point(model, tmp_path):
    # Neither of two images is in the middle of the path: without climbing, none would be at the saddle point.
    options = ("--repeat", 2, "--images", 2, "--fmax", 0.05)
    assert end_of_example("vacancy_hop", "--model", model, "--output", tmp_path, *options) == 0
    highest = max(read(tmp_path / "path.extxyz", ":"), key=lambda image: image.get_potential_energy())
    assert np.linalg.norm(highest.get_forces(), axis=1).max() < 0.05


def test_a_missing_model_is_named(tmp_path):
    sentence = end_of_example("vacancy_hop", "--model", tmp_path / "none.pt", "--output", tmp_path)
    assert "none.pt" in sentence


def test_a_band_that_does_not_converge_is_an_error(model, tmp_path):
    options = ("--repeat", 2, "--images", 1, "--fmax", 0.05, "--steps", 1)
    sentence = end_of_example("vacancy_hop", "--model", model, "--output", tmp_path, *options)
    assert "the band ended at" in sentence
    assert "more --steps" in sentence
