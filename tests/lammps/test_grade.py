"""Extrapolation grades in LAMMPS by `fix pair`: those of Python on any number of processes."""

import numpy as np
import pytest

from equipot.data.graph import graph_from_frame
from equipot.model_file import write_model
from equipot.network.derivatives import predict
from equipot.quantities import GAMMA
from equipot.species import SpeciesMap
from equipot.structures import frame_from_atoms
from equipot.uncertainty.grade import fit_grade
from tests.lammps.conftest import SPECIES, potential
from tests.lammps.ranks import on_ranks
from tests.lammps.running import good, lmp, setup, write_data
from tests.lammps.structures import cases
from tests.models import model_input, random_atoms

ATOMS = cases()["tilted"].atoms
DUMP = """
dump d all custom {every} out.dump id f_gamma
dump_modify d format float %.17g sort id
"""


@pytest.fixture(scope="module")
def graded():
    plain, species = potential(), SpeciesMap(SPECIES)
    frames = [frame_from_atoms(random_atoms(8, seed=k)) for k in range(30)]
    return fit_grade(plain, [graph_from_frame(f, species, plain.spec.cutoffs) for f in frames]).potential


@pytest.fixture(scope="module")
def model(graded, tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("m") / "graded.pt", graded, verify=False)


def expected(graded):
    return predict(graded, model_input(graded, ATOMS)).outputs[GAMMA].numpy()


@on_ranks(1, 2, 4)
@pytest.mark.parametrize("trigger", [0, 1])
def test_grades_are_those_of_python(tmp_path, graded, model, ranks, trigger):
    write_data(tmp_path / "a.data", ATOMS, list(SPECIES))
    fix = f"fix gamma all pair 1 equipot gamma {trigger}\n"
    good(lmp(setup("a", model) + fix + DUMP.format(every=1) + "run 1\n", tmp_path, ranks))
    found = np.loadtxt((tmp_path / "out.dump").read_text().splitlines()[-len(ATOMS) :])
    np.testing.assert_allclose(found[:, 1], expected(graded), rtol=1e-10)


def test_a_run_ends_by_fix_halt_when_an_atom_is_unlike_the_training_set(tmp_path, graded, model):
    write_data(tmp_path / "a.data", ATOMS, list(SPECIES))
    threshold = 0.5 * expected(graded).max()
    halt = f"""
fix gamma all pair 1 equipot gamma 1
compute most all reduce max f_gamma
variable most equal c_most
fix stop all halt 1 v_most > {threshold:.6g} error soft message yes
fix move all nve
run 5
"""
    run = good(lmp(setup("a", model) + halt, tmp_path))
    assert "Fix halt condition for fix-id stop met on step" in run


def test_a_model_without_grades_is_an_error(tmp_path, double_file):
    write_data(tmp_path / "a.data", ATOMS, list(SPECIES))
    run = lmp(setup("a", double_file) + "fix g all pair 1 equipot gamma 0\nrun 0\n", tmp_path)
    assert run.returncode != 0
    assert "gamma" in run.stdout + run.stderr
