"""The spread of a committee in LAMMPS is that of explicit models, on any number of processes."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from equipot.data.graph import graph_from_frame
from equipot.model_file import write_model
from equipot.network.derivatives import predict
from equipot.network.variants import with_elements, without_uncertainty
from equipot.quantities import GAMMA
from equipot.runtime import RuntimeModel
from equipot.species import SpeciesMap
from equipot.structures import frame_from_atoms
from equipot.uncertainty.grade import fit_grade
from tests.lammps.conftest import SPECIES, potential
from tests.lammps.ranks import on_ranks
from tests.lammps.running import BIN, good, lmp, setup, write_data
from tests.lammps.structures import cases
from tests.models import explicit_members, model_input, random_atoms, with_random_committee

ATOMS = cases()["tilted"].atoms
COLUMNS = ["step", "max_devi_v", "min_devi_v", "avg_devi_v", "max_devi_f", "min_devi_f", "avg_devi_f"]
KCAL = 23.060549


@pytest.fixture(scope="module")
def committee():
    plain, species = potential(), SpeciesMap(SPECIES)
    frames = [frame_from_atoms(random_atoms(8, seed=k)) for k in range(30)]
    graphs = [graph_from_frame(f, species, plain.spec.cutoffs) for f in frames]
    graded = fit_grade(plain, graphs).potential
    grades = predict(graded, model_input(graded, ATOMS)).outputs[GAMMA]
    graded.grade.factor /= grades.median()  # half of the atoms are beyond the border
    return with_random_committee(graded)


@pytest.fixture(scope="module")
def model(committee, tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("m") / "committee.pt", committee, verify=False)


@pytest.fixture(scope="module")
def expected(committee):
    """Deviations of the atoms' forces, the six numbers of the file, and the deviation of the energy; in eV and Å."""
    inputs = model_input(committee, ATOMS)
    base = predict(without_uncertainty(committee), inputs)
    members = [predict(m, inputs) for m in explicit_members(committee)]
    grades = predict(committee, inputs).outputs[GAMMA].numpy()
    assert grades.min() < 1 < grades.max()
    squares = [(m.forces - base.forces).square().sum(1).numpy() for m in members]
    of_forces = np.sqrt(np.mean(squares, axis=0)) * np.clip(grades, 1, None)
    r = inputs.edge_vectors.numpy()
    virials = [-np.einsum("ea,eb->ab", r, (m.edge_gradient - base.edge_gradient).numpy()) for m in members]
    of_virial = np.sqrt(np.mean(np.square(virials), axis=0)) / len(ATOMS)
    numbers = [of_virial.max(), of_virial.min(), np.sqrt(np.mean(of_virial**2))]
    runtime = RuntimeModel.from_program(committee.program())
    vector = runtime.evaluate(*(t.numpy() for t in inputs[:3]), deviation=True).deviation
    return of_forces, [*numbers, of_forces.max(), of_forces.min(), of_forces.mean()], np.linalg.norm(vector)


@pytest.fixture
def folder(tmp_path):
    write_data(tmp_path / "a.data", ATOMS, list(SPECIES))
    return tmp_path


def with_deviation(model, words, **options):
    return setup("a", model, **options).replace("pair_style equipot", f"pair_style equipot deviation {words}")


def table(folder):
    header, *lines = (folder / "model_devi.out").read_text().splitlines()
    assert header.lstrip("#").split() == COLUMNS
    return np.array([line.split() for line in lines], dtype=float)


@on_ranks(1, 2, 3, 4)
def test_the_file_has_the_deviations_of_explicit_models(folder, model, expected, ranks):
    of_forces, numbers, _ = expected
    good(lmp(with_deviation(model, "model_devi.out every 1 atomic") + "run 0\n", folder, ranks))
    (line,) = table(folder)
    np.testing.assert_allclose(line[1:7], numbers, rtol=1e-5)  # as many digits as the file has
    np.testing.assert_allclose(line[7:], of_forces, rtol=1e-5)
    text = (folder / "model_devi.out").read_text().splitlines()
    assert len(text[0]) == 12 + 6 * 19
    assert text[1][12 + 18] != " "  # numbers end where their headings end


@on_ranks(1, 2, 3, 4)
def test_per_atom_values_and_the_energy_are_those_of_python(folder, model, expected, ranks):
    commands = """
fix sigma all pair 1 equipot sigma_force 1 gamma 1
compute e all pair equipot
thermo_style custom step pe c_e[1]
thermo_modify norm no format float %.17g
dump d all custom 1 out.dump id f_sigma[1]
dump_modify d format float %.17g sort id
run 0
"""
    out = good(lmp(setup("a", model) + commands, folder, ranks))
    values = np.loadtxt((folder / "out.dump").read_text().splitlines()[-len(ATOMS) :])
    np.testing.assert_allclose(values[:, 1], expected[0], rtol=1e-10)
    lines = out.splitlines()
    row = next(k for k, line in enumerate(lines) if line.split()[:2] == ["Step", "PotEng"])
    assert float(lines[row + 1].split()[2]) == pytest.approx(expected[2], rel=1e-10)


def test_only_the_steps_of_the_interval_are_written_and_a_restart_continues_the_file(folder, model):
    words = "model_devi.out every 4"
    first = with_deviation(model, words) + "fix m all nve\nrun 8\nwrite_restart a.restart\n"
    good(lmp(first, folder))
    assert table(folder)[:, 0].tolist() == [0, 4, 8]
    again = f"""
read_restart a.restart
pair_style equipot deviation {words}
pair_coeff * * {model} Si O
fix m all nve
run 4
"""
    good(lmp("units metal\nnewton on\n" + again, folder))
    assert table(folder)[:, 0].tolist() == [0, 4, 8, 8, 12]
    good(lmp(with_deviation(model, words) + "run 0\n", folder))
    assert table(folder)[:, 0].tolist() == [0]


def test_the_committee_works_under_hybrid_overlay(folder, model, expected):
    style = (
        "pair_style hybrid/overlay equipot deviation model_devi.out every 1 zero 3.0\npair_coeff * * zero\n"
    )
    script = setup("a", model).replace("pair_style equipot \n", style)
    script = script.replace(f"pair_coeff * * {model}", f"pair_coeff * * equipot {model}")
    good(lmp(script + "run 0\n", folder, 2))
    np.testing.assert_allclose(table(folder)[0, 1:7], expected[1], rtol=1e-5)


def test_deviations_have_the_units_of_the_forces(folder, model, expected):
    script = with_deviation(model, "model_devi.out every 1").replace("units metal", "units real")
    good(lmp(script + "run 0\n", folder))
    np.testing.assert_allclose(table(folder)[0, 1:7], KCAL * np.array(expected[1]), rtol=1e-5)


def test_a_run_ends_by_fix_halt_when_a_force_is_uncertain(folder, model, expected):
    threshold = 0.5 * expected[0].max()
    halt = f"""
fix sigma all pair 1 equipot sigma_force 1
compute most all reduce max f_sigma
variable most equal c_most
fix stop all halt 1 v_most > {threshold:.6g} error soft message yes
fix move all nve
run 5
"""
    assert "Fix halt condition for fix-id stop met on step" in good(lmp(setup("a", model) + halt, folder))


def test_the_example_stops_and_writes_what_should_be_labelled(tmp_path):
    """examples/silicon/in.watch with a model that finds every silicon unlike its training set."""
    plain = potential()
    frames = [frame_from_atoms(random_atoms(8, seed=k)) for k in range(30)]
    species = SpeciesMap(SPECIES)
    graphs = [graph_from_frame(f, species, plain.spec.cutoffs) for f in frames]
    graded = with_random_committee(with_elements(fit_grade(plain, graphs).potential, ["Si"]))
    model = write_model(tmp_path / "m.pt", graded, verify=False)
    atoms = bulk("Si", cubic=True) * 2
    write(tmp_path / "si.data", atoms, format="lammps-data", masses=True)
    # A random network has no bounds on its forces, so the atoms hardly move.
    settings = {"model": model, "data": "si.data", "steps": 40, "temperature": 0.01, "dump": "u.dump"}
    settings |= {"label_above": 1e-6, "stop_above": 1e-6}
    words = [str(w) for name, value in settings.items() for w in ("-var", name, value)]
    script = Path(__file__).parents[2] / "examples/silicon/in.watch"
    run = subprocess.run(
        [BIN / "mpiexec", "-n", "2", BIN / "lmp", "-in", script, *words, "-log", "none"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Fix halt condition for fix-id stop met on step" in good(run)
    header, *values = (tmp_path / "u.dump").read_text().split("ITEM: ATOMS")[1].splitlines()
    assert header.split() == ["id", "element", "x", "y", "z", "f_gamma"]
    assert float(values[0].split()[5]) > 1e-6
    assert len(table(tmp_path)) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("model_devi.out every 0", "every is '0', expected a number of steps, 1 or more"),
        ("model_devi.out every", "unknown or incomplete setting 'deviation'"),
        ("no/folder/m.out every 5", "cannot write no/folder/m.out: No such file or directory"),
    ],
)
@on_ranks(2)
def test_bad_settings_are_a_sentence(folder, model, words, sentence, ranks):
    run = lmp(with_deviation(model, words) + "run 0\n", folder, ranks)
    assert run.returncode != 0
    assert sentence in " ".join((run.stdout + run.stderr).split())


def test_a_full_disk_ends_the_run(folder, model):
    run = lmp(with_deviation(model, "/dev/full every 1") + "run 0\n", folder)
    assert run.returncode != 0
    assert "cannot write /dev/full at step 0: No space left on device" in run.stdout + run.stderr


def test_a_model_without_members_is_a_sentence(folder, double_file):
    run = lmp(with_deviation(double_file, "model_devi.out every 1") + "run 0\n", folder)
    assert run.returncode != 0
    assert "the model has no members; add them with `equipot uncertainty" in run.stdout + run.stderr
    assert not (folder / "model_devi.out").exists()
