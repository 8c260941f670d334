"""Model files of every format and release load, and give the results that their own version recorded."""

import numpy as np
import pytest
from ase import Atoms

from equipot.calculators import EquipotCalculator
from equipot.model_file import load_model, load_potential
from equipot.model_file.selftest import recorded_results, structure_of
from tests.model_file.make_golden import DATA
from tests.models import model_input

FILES = sorted(DATA.glob("*.pt"))


def assert_close(value, expected):
    """Compare within the rounding of float32 networks, which is relative to the largest value."""
    expected = np.array(expected)
    np.testing.assert_allclose(value, expected, rtol=0, atol=2e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("engine", ["runtime", "torch"])
def test_a_file_of_any_release_gives_the_results_of_that_release(path, engine):
    model = load_model(path, engine_name=engine)
    for recorded in model.metadata.self_test:
        results = recorded_results(model.compute(structure_of(recorded, model.metadata.cutoff)))
        for name, value in results.items():
            assert_close(value, recorded[name])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_any_release_runs_in_ase_and_gives_its_potential(path):
    metadata = load_model(path).metadata
    recorded = metadata.self_test[0]
    symbols = [metadata.type_names[k] for k in recorded["species"]]
    atoms = Atoms(symbols, recorded["positions"], cell=recorded["cell"], pbc=recorded["pbc"])
    atoms.calc = EquipotCalculator(path)
    assert_close(atoms.get_forces(), recorded["forces"])
    potential = load_potential(path)
    energies = potential(model_input(potential, atoms))["energies"].detach().numpy()
    assert_close(energies, recorded["atomic_energies"])
