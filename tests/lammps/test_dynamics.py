"""Trajectories: conserved energy, barostats, minimisation and restarts, on any number of ranks."""

from pathlib import Path

import numpy as np
import pytest

from equipot.model_file import write_model
from tests.lammps.conftest import potential
from tests.lammps.ranks import exhaustive, on_ranks
from tests.lammps.running import good, lmp
from tests.lammps.states import (
    THERMO,
    TILTED,
    assert_same,
    begin,
    keep,
    keep_and_start_anew,
    kept,
    tables,
)


@pytest.fixture
def start(tmp_path, double_file) -> str:
    return begin(tmp_path, double_file)


def drift(folder: Path, start: str, dt: float) -> float:
    steps = round(0.032 / dt)
    script = (
        start + f"velocity all create 600 1 loop geom\nfix 1 all nve\ntimestep {dt}\nthermo 1\nrun {steps}\n"
    )
    energy = tables(good(lmp(script, folder, 1)))[0][:, 2]
    return float(np.abs(energy - energy[0]).max())


def test_total_energy_is_conserved_to_second_order_in_the_time_step(tmp_path):
    # Without a core: some pairs of the random structure are inside, where a femtosecond is too long.
    start = begin(tmp_path, write_model(tmp_path / "smooth.pt", potential(repulsion="none"), verify=False))
    coarse, fine = drift(tmp_path, start, 0.002), drift(tmp_path, start, 0.001)
    assert coarse < 1e-2
    assert 3 < coarse / fine < 5


@on_ranks(2, 3, 4)
def test_trajectories_do_not_depend_on_the_number_of_ranks(tmp_path, start, ranks):
    # Hot, with a small skin: atoms change owners and lists are rebuilt often.
    script = start.replace("neighbor 1.0 bin", "neighbor 0.1 bin") + (
        "velocity all create 5000 1 loop geom\n"
        "fix 1 all npt temp 3000 3000 0.1 tri 0 0 0.5\ntimestep 0.002\nthermo 20\nrun 40\n"
        "unfix 1\nfix 2 all nve\nfix 3 all balance 2 1.0 shift xyz 5 1.0\n"
        "group gone id 5 11\ndelete_atoms group gone\ncreate_atoms 1 single 1.3 1.1 1.2\nrun 10\n"
    )
    one, several = (tables(good(lmp(script, tmp_path, n))) for n in (1, ranks))
    assert one[1][-1, 0] == 50
    for a, b in zip(one, several, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7)


@on_ranks(2, 3, 4)
def test_barostats_change_the_box_alike_on_all_ranks(tmp_path, start, double_file, ranks):
    script = ""
    for coupling in ("iso", "aniso", "tri"):
        script += start + (
            "velocity all create 2000 1 loop geom\ntimestep 0.001\n"
            f"fix 1 all npt temp 2000 2000 0.1 {coupling} 2e5 2e5 0.05\nrun 10\n"
        )
        script += keep_and_start_anew(coupling, double_file, before="box tilt large")
    states, volumes = {}, {}
    for n in (1, ranks):
        output = good(lmp(script, tmp_path, n))
        states[n] = kept(output, tmp_path)
        volumes[n] = [table[-1, 4] for table in tables(output)]
        for coupling in ("iso", "aniso", "tri"):
            found, anew = states[n][coupling], states[n][f"{coupling}_anew"]
            anew.pressure = found.pressure  # without velocities
            assert_same(found, anew)
            assert_same(found, states[1][coupling], rtol=1e-7)
    np.testing.assert_allclose(volumes[ranks], volumes[1], rtol=1e-9)
    before = abs(np.linalg.det(TILTED.cell))
    assert (np.abs(np.array(volumes[1]) / before - 1) > 1e-4).all()


@on_ranks(1, 2, 3, 4)
def test_a_sheared_box_that_flips_is_the_same_crystal(tmp_path, start, ranks):
    shear = (
        "velocity all create 600 1 loop geom\ntimestep 0.001\nfix 1 all nve\nthermo 1\n"
        "fix 2 all deform 1 xy erate 60 remap x units box flip {}\nrun 10\nprint 'XY $(xy)'\n"
    )
    kept_tilt = good(
        lmp(start.replace("read_data", "box tilt large\nread_data") + shear.format("no"), tmp_path)
    )
    assert float(kept_tilt.split("\nXY ")[1].split()[0]) > 10  # Å, of a box of 10.8 Å
    output = good(lmp(start + shear.format("yes"), tmp_path, ranks))
    assert float(output.split("\nXY ")[1].split()[0]) < 5.4
    np.testing.assert_allclose(tables(output)[0], tables(kept_tilt)[0], rtol=1e-7)


@on_ranks(1, 2, 3)
def test_minimisation_lowers_the_energy_step_by_step_in_a_relaxing_box(tmp_path, start, double_file, ranks):
    relax = "fix 1 all box/relax {} 0.0\nmin_style cg\nthermo 10\nminimize 0 1e-3 40 100\n"
    script = ""
    for coupling in ("iso", "tri"):
        script += start + relax.format(coupling)
        script += keep_and_start_anew(coupling, double_file, before="box tilt large")
    output = good(lmp(script, tmp_path, ranks))
    for table in tables(output)[::2]:
        assert table[-1, 1] < table[0, 1] - 0.005  # eV
        assert (np.diff(table[:, 1]) < 0).all()
    states = kept(output, tmp_path)
    for coupling in ("iso", "tri"):
        assert_same(states[coupling], states[f"{coupling}_anew"])


@pytest.mark.parametrize(
    ("written_on", "read_on"),
    [(2, 1), (1, 2), *(pytest.param(*pair, marks=exhaustive) for pair in ((2, 2), (1, 3), (4, 1)))],
)
def test_a_restart_continues_where_it_was_written(tmp_path, start, double_file, written_on, read_on):
    move = "fix 1 all nve\nthermo 10\n"
    written = start + "velocity all create 600 1 loop geom\n" + move + "run 10\nwrite_restart half\nrun 10\n"
    read = f"read_restart half\npair_style equipot\npair_coeff * * {double_file} Si O\n{THERMO}{move}run 10\n"
    through = tables(good(lmp(written, tmp_path, written_on)))
    continued = tables(good(lmp(read, tmp_path, read_on)))
    np.testing.assert_allclose(continued[0][-1], through[1][-1], rtol=1e-9)


@on_ranks(1, 2, 3)
def test_a_rerun_of_a_trajectory_gives_its_energies_and_forces(tmp_path, start, ranks):
    script = start + (
        "velocity all create 3000 1 loop geom\ntimestep 0.002\nthermo 2\n"
        "fix 1 all npt temp 3000 3000 0.1 tri 0 0 0.5\n"
        "dump 1 all custom 2 path.dump id type x y z fx fy fz\ndump_modify 1 sort id format float %.17g\n"
        "run 10\n" + keep("last") + "undump 1\nunfix 1\nvelocity all set 0 0 0\n"
        "rerun path.dump dump x y z box yes\n" + keep("again")
    )
    output = good(lmp(script, tmp_path, ranks))
    first, second = (table[:, [0, 1, 4, 5]] for table in tables(output))
    assert len(first) == 6
    np.testing.assert_allclose(second, first, rtol=1e-10)
    states = kept(output, tmp_path)
    states["again"].pressure = states["last"].pressure  # without velocities
    assert_same(states["again"], states["last"])


def test_units_real_are_the_same_physics(tmp_path, start):
    per_ev = 23.060549
    metal = tables(good(lmp(start + "run 0\n", tmp_path)))[0][0]
    real = tables(good(lmp(start.replace("units metal", "units real") + "run 0\n", tmp_path)))[0][0]
    assert real[1] == pytest.approx(metal[1] * per_ev, rel=1e-12)
    assert real[5] == pytest.approx(metal[5] * per_ev, rel=1e-12)
    assert real[3] * 1.01325 == pytest.approx(metal[3], rel=1e-5)  # atm, bar


@on_ranks(2, 3)
@pytest.mark.parametrize("options", [{"n_layers": 1}, {"repulsion": "zbl"}])
def test_other_models_run_on_several_ranks_as_on_one(tmp_path, start, double_file, options, ranks):
    write_model(tmp_path / "other.pt", potential(**options), verify=False)
    script = start.replace(str(double_file), "other.pt") + "run 0\n"
    one, several = (tables(good(lmp(script, tmp_path, n)))[0] for n in (1, ranks))
    np.testing.assert_allclose(several, one, rtol=1e-10)
