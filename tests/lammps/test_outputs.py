"""Outputs of a network besides energies and forces, in LAMMPS by `fix pair`."""

import numpy as np
import pytest

from equipot.model_file import write_model
from equipot.network.derivatives import predict
from tests.lammps.conftest import SPECIES
from tests.lammps.ranks import exhaustive, on_ranks
from tests.lammps.running import good, lmp, setup, write_data
from tests.lammps.structures import cases
from tests.models import model_input
from tests.outputs import WithFurtherOutputs, changed

pytestmark = [exhaustive, pytest.mark.usefixtures("torch_plugin")]

ATOMS = cases()["tilted"].atoms
OUTPUTS = """
fix size all pair 1 equipot size 0
fix pair all pair 1 equipot pair 0
dump d all custom 1 out.dump id f_size f_pair[1] f_pair[2]
dump_modify d format float %.17g sort id
run 1
"""


@pytest.fixture(scope="module")
def potential():
    return changed(WithFurtherOutputs, n_layers=3, features=[6, 3], species=SPECIES)


@pytest.fixture(scope="module")
def model(potential, tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("m") / "outputs.pt", potential)


@on_ranks(1, 2, 4)
def test_further_outputs_are_those_of_python(tmp_path, potential, model, ranks):
    write_data(tmp_path / "a.data", ATOMS, list(SPECIES))
    good(lmp(setup("a", model) + OUTPUTS, tmp_path, ranks))
    found = np.loadtxt((tmp_path / "out.dump").read_text().splitlines()[-len(ATOMS) :])
    expected = predict(potential, model_input(potential, ATOMS)).outputs
    np.testing.assert_allclose(found[:, 1], expected["size"].numpy(), rtol=0, atol=1e-10)
    np.testing.assert_allclose(found[:, 2:], expected["pair"].numpy(), rtol=0, atol=1e-10)


def test_an_output_that_the_model_lacks_is_an_error(tmp_path, model):
    write_data(tmp_path / "a.data", ATOMS, list(SPECIES))
    run = lmp(setup("a", model) + OUTPUTS.replace("equipot size", "equipot colour"), tmp_path)
    assert run.returncode != 0
    assert "colour" in run.stdout + run.stderr
