import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import units

from equipot.calculators import EquipotCalculator
from equipot.cli.main import main
from tests.cli.simulation_inputs import UNUSABLE, one_sentence, path, silicon, unusable_structures

__all__ = ["path"]

NVE = ["--ensemble", "nve", "--temperature", "300", "--time", "0.02"]
NVT = ["--ensemble", "nvt", "--temperature", "300", "--time", "0.02"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    ase.io.write("si.extxyz", silicon(1, 0.02))
    return tmp_path


def rows(name):
    with open(name, newline="") as file:
        return [{k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(file)]


def test_the_files_hold_the_run(path, capsys):
    assert main(["md", "si.extxyz", "-m", path, *NVE, "--interval", "5", "--log-interval", "2"]) == 0
    frames, log = ase.io.read("md.extxyz", ":"), rows("md.csv")
    assert [a.info["step"] for a in frames] == [0, 5, 10, 15, 20]
    assert [r["step"] for r in log] == list(range(0, 21, 2))
    assert log[-1]["time_ps"] == pytest.approx(0.02)
    assert log[0]["temperature_K"] == pytest.approx(300.0)
    for atoms, row in ((frames[0], log[0]), (frames[2], log[5]), (frames[4], log[10])):
        # The log's kinetic energy is that of the momenta in the trajectory, its potential energy the model's.
        assert atoms.get_kinetic_energy() == pytest.approx(row["kinetic_eV"], rel=1e-5)
        assert atoms.get_potential_energy() == pytest.approx(row["potential_eV"], abs=1e-6)
        again = atoms.copy()
        again.calc = EquipotCalculator(path)
        assert again.get_potential_energy() == pytest.approx(row["potential_eV"], abs=1e-5)
        stress = again.get_stress(include_ideal_gas=True)
        assert -stress[:3].mean() / units.GPa == pytest.approx(row["pressure_GPa"], abs=1e-3)
    np.testing.assert_allclose(frames[-1].get_momenta().sum(axis=0), 0, atol=1e-5)
    assert np.ptp([r["total_eV"] for r in log]) < 0.1 * np.ptp([r["potential_eV"] for r in log])
    text = capsys.readouterr().out
    for piece in ("ns/day", "drift", "steps/s", "written to md.extxyz, md.csv, md.state.npz"):
        assert piece in text


@pytest.mark.parametrize(
    "ensemble",
    [
        NVE,
        NVT,
        [*NVT, "--thermostat", "nose-hoover"],
        ["--ensemble", "npt", "--temperature", "300", "--time", "0.02"],
    ],
    ids=["nve", "bussi", "nose-hoover", "npt"],
)
def test_a_run_in_two_parts_is_the_run_in_one(path, ensemble, capsys):
    common = ["md", "si.extxyz", "-m", path, "--interval", "4", "--log-interval", "3", *ensemble]
    assert main([*common, "-o", "one.extxyz"]) == 0
    assert main([*common, "-o", "two.extxyz", "--time", "0.01"]) == 0
    assert main([*common, "-o", "two.extxyz", "--restart"]) == 0
    one, two = ase.io.read("one.extxyz@-1"), ase.io.read("two.extxyz@-1")
    # A new neighbour list sums in another order.
    np.testing.assert_allclose(two.positions, one.positions, atol=1e-7)
    np.testing.assert_allclose(two.get_momenta(), one.get_momenta(), atol=1e-6)
    whole, parts = rows("one.csv"), rows("two.csv")
    # The first part ended between two rows.
    assert [r["step"] for r in parts] == sorted({*(r["step"] for r in whole), 10})
    kept = [r for r in parts if r["step"] != 10]
    for name in ("total_eV", "conserved_eV"):
        np.testing.assert_allclose([r[name] for r in kept], [r[name] for r in whole], atol=1e-7)
    assert "anew" not in capsys.readouterr().out


def test_what_a_killed_program_left_half_written_is_cut_off(path):
    common = ["md", "si.extxyz", "-m", path, "--interval", "4", *NVE]
    assert main([*common, "--time", "0.01"]) == 0
    with open("md.extxyz", "a") as file:
        file.write('8\nLattice="5.43 0.0')
    with open("md.csv", "a") as file:
        file.write("12,0.01")
    assert main([*common, "--restart"]) == 0
    assert [a.info["step"] for a in ase.io.read("md.extxyz", ":")] == [0, 4, 8, 10, 12, 16, 20]
    assert rows("md.csv")[-1]["step"] == 20


def test_without_its_state_a_run_continues_from_the_last_frame_and_says_so(path, folder, capsys):
    common = ["md", "si.extxyz", "-m", path, *NVE]
    assert main([*common, "-o", "one.extxyz"]) == 0
    assert main([*common, "--time", "0.01"]) == 0
    (folder / "md.state.npz").unlink()
    assert main([*common, "--restart"]) == 0
    assert "md.state.npz is missing: continuing from the last frame" in capsys.readouterr().out
    np.testing.assert_allclose(
        ase.io.read("md.extxyz@-1").positions, ase.io.read("one.extxyz@-1").positions, atol=1e-6
    )


def test_what_changed_is_said_when_a_run_continues(path, capsys):
    assert main(["md", "si.extxyz", "-m", path, *NVE]) == 0
    assert main(["md", "si.extxyz", "-m", path, *NVT, "--time", "0.03", "--restart"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Changed since the last frame: ensemble nve → nvt" in text
    assert ase.io.read("md.extxyz@-1").info["step"] == 30


def test_constant_energy_continues_without_a_temperature(path, capsys):
    assert main(["md", "si.extxyz", "-m", path, *NVE]) == 0
    assert main(["md", "si.extxyz", "-m", path, "--ensemble", "nve", "--time", "0.03", "--restart"]) == 0
    assert "anew" not in capsys.readouterr().out


def test_another_model_is_noticed_when_a_run_continues(path, folder, capsys):
    from equipot.model_file import write_model
    from tests.models import make_potential

    other = write_model(folder / "other.pt", make_potential(seed=5, species=("Si",)), verify=False)
    assert main(["md", "si.extxyz", "-m", path, *NVE]) == 0
    assert main(["md", "si.extxyz", "-m", str(other), *NVE, "--time", "0.03", "--restart"]) == 0
    assert "this is another model" in " ".join(capsys.readouterr().out.split())


def test_a_finished_run_is_left_alone(path, folder, capsys):
    assert main(["md", "si.extxyz", "-m", path, *NVE]) == 0
    before = (folder / "md.extxyz").read_bytes()
    assert main(["md", "si.extxyz", "-m", path, *NVE, "--restart"]) == 0
    assert "md.extxyz already has 0.02 ps; give a longer --time to continue it" in capsys.readouterr().out
    assert (folder / "md.extxyz").read_bytes() == before


def test_the_seed_decides_the_velocities(path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        arguments = ["-o", f"{name}.extxyz", "--seed", seed, "--time", "0.001"]
        assert main(["md", "si.extxyz", "-m", path, *NVT, *arguments]) == 0
    a, b, c = (ase.io.read(f"{name}.extxyz@0").get_momenta() for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.1


def test_velocities_of_the_structure_can_be_kept(path):
    atoms = silicon(None)
    atoms.set_momenta(np.random.default_rng(0).normal(size=(8, 3)))
    ase.io.write("moving.extxyz", atoms)
    arguments = ["--ensemble", "nve", "--time", "0.001", "--keep-velocities"]
    assert main(["md", "moving.extxyz", "-m", path, *arguments]) == 0
    np.testing.assert_allclose(ase.io.read("md.extxyz@0").get_momenta(), atoms.get_momenta(), atol=1e-7)


def test_the_structure_is_repeated(path):
    assert main(["md", "si.extxyz", "-m", path, *NVE, "--time", "0.001", "--repeat", "2", "1", "1"]) == 0
    assert len(ase.io.read("md.extxyz@0")) == 16


def test_ctrl_c_keeps_a_last_frame_and_exits_with_130(path, folder):
    """The whole command in a process of its own, which is what a person stops."""
    command = [sys.executable, "-m", "equipot.cli.main", "md", "si.extxyz", "-m", path, *NVT]
    with subprocess.Popen(
        [*command, "--time", "1000", "--interval", "100000"], stderr=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        log = folder / "md.csv"
        deadline = time.monotonic() + 60
        while not (log.exists() and log.read_text().count("\n") > 3) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        error = process.communicate(timeout=60)[1]
    assert process.returncode == 130, error
    assert "interrupted; stopped after step" in error
    assert "--restart continues md.extxyz" in error
    last = ase.io.read("md.extxyz@-1").info["step"]
    assert last >= 20
    assert main(["md", "si.extxyz", "-m", path, *NVT, "--time", f"{(last + 3) / 1000}", "--restart"]) == 0
    assert ase.io.read("md.extxyz@-1").info["step"] == last + 3


def test_a_full_disk_is_one_sentence(path, folder, capsys):
    (folder / "full.extxyz").symlink_to("/dev/full")
    assert main(["md", "si.extxyz", "-m", path, *NVE, "-o", "full.extxyz"]) == 1
    one_sentence(capsys, "md", "full.extxyz: No space left on device")


def test_a_run_that_explodes_stops_with_a_sentence_and_keeps_its_frames(path, capsys):
    arguments = [
        "--ensemble",
        "nve",
        "--temperature",
        "90000",
        "--time",
        "20",
        "--timestep",
        "20",
        "--interval",
        "1",
    ]
    assert main(["md", "si.extxyz", "-m", path, *arguments]) == 1
    one_sentence(capsys, "md", "stopped at step")
    assert len(ase.io.read("md.extxyz", ":")) >= 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *[([*arguments, *NVE], words) for arguments, words in UNUSABLE],
        (["si.extxyz", "--ensemble", "nvt", "--time", "1"], "no --temperature is given"),
        (["si.extxyz", "--ensemble", "nvt", "--time", "1", "--keep-velocities"], "nvt needs a temperature"),
        (["si.extxyz", *NVT, "--temperature", "-3"], "temperature is -3 K"),
        (["si.extxyz", *NVE, "--time", "0"], "--time is 0 ps"),
        (["si.extxyz", *NVE, "--time", "0.0001"], "shorter than a step of 1 fs"),
        (["overlap.extxyz", *NVE], "the closest atoms, 0 and 1, are 0 Å apart"),
        (["si.extxyz", *NVE, "--time", "nan"], "--time is nan ps"),
        (["si.extxyz", *NVE, "--timestep", "-1"], "timestep is -1 fs"),
        (["si.extxyz", *NVE, "--pressure", "2"], "only npt takes a pressure"),
        (["si.extxyz", *NVE, "--interval", "0"], "--interval is 0"),
        (["si.extxyz", *NVE, "--log-interval", "0"], "--log-interval is 0"),
        (["si.extxyz", *NVE, "--seed", "-1"], "--seed is -1"),
        (["si.extxyz", *NVE, "--repeat", "0", "1", "1"], "--repeat is 0 1 1"),
        (["si.extxyz", *NVE, "--keep-velocities"], "si.extxyz has no velocities"),
        (["si.extxyz", *NVE, "--restart"], "--restart: md.extxyz does not exist"),
        (["si.extxyz", *NVE, "-o", "old.extxyz"], "old.extxyz exists; continue it with --restart"),
        (["si.extxyz", *NVE, "-o", "old.extxyz", "--restart"], "has no momenta and step"),
        (["si.extxyz", *NVE, "--restart", "--overwrite"], "give only one of them"),
        (["dimer.extxyz", *NVE, "--repeat", "2", "1", "1"], "but the structure is not periodic along"),
        (
            ["dimer.extxyz", "--ensemble", "npt", "--temperature", "300", "--time", "1"],
            "npt needs a structure that is periodic",
        ),
        (["si.extxyz", *NVE, "-o", "md.traj"], "must end in .extxyz or .xyz"),
    ],
)
def test_what_cannot_run_is_one_sentence(path, folder, capsys, arguments, words):
    unusable_structures(folder)
    ase.io.write("old.extxyz", silicon())
    model = [] if "-m" in arguments else ["-m", path]
    assert main(["md", *arguments, *model]) == 1
    one_sentence(capsys, "md", words)


def test_a_damaged_or_foreign_state_is_one_sentence(path, folder, capsys):
    assert main(["md", "si.extxyz", "-m", path, *NVE]) == 0
    more = [*NVE, "--time", "0.03", "--restart"]
    capsys.readouterr()
    assert main(["md", "si.extxyz", "-m", path, *more, "--repeat", "2", "1", "1"]) == 1
    one_sentence(capsys, "md", "the run to continue has 8 atoms")
    text = (folder / "md.extxyz").read_text()
    (folder / "md.extxyz").write_text(text[:300])
    assert main(["md", "si.extxyz", "-m", path, *more]) == 1
    one_sentence(capsys, "md", "md.extxyz: is shorter than it was when")
    state = (folder / "md.state.npz").read_bytes()
    (folder / "md.state.npz").write_bytes(state[:400])
    assert main(["md", "si.extxyz", "-m", path, *more]) == 1
    one_sentence(capsys, "md", "md.state.npz: is damaged")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("positions", np.zeros((7, 3))),
        ("momenta", np.full((8, 3), np.nan)),
        ("cell", np.zeros(3)),
        ("random", {"bit_generator": "MT19937"}),
        ("random", {}),
        ("ensemble", None),
        ("step", -4),
        ("step", "many"),
        ("reference", "high"),
    ],
)
def test_a_forged_state_is_one_sentence(path, folder, capsys, name, value):
    assert main(["md", "si.extxyz", "-m", path, *NVE]) == 0
    state = folder / "md.state.npz"
    with np.load(state) as file:
        arrays = {key: file[key] for key in file.files}
    if name in arrays:
        arrays[name] = value
    else:
        arrays["plain"] = np.array(json.dumps({**json.loads(str(arrays["plain"])), name: value}))
    np.savez(state, **arrays)
    capsys.readouterr()
    assert main(["md", "si.extxyz", "-m", path, *NVE, "--time", "0.03", "--restart"]) == 1
    one_sentence(capsys, "md", "md.state.npz: is damaged")


def test_a_state_that_would_execute_code_is_refused(path, folder, capsys):
    assert main(["md", "si.extxyz", "-m", path, *NVE]) == 0
    state = folder / "md.state.npz"
    with np.load(state) as file:
        arrays = {key: file[key] for key in file.files}
    np.savez(state, **{**arrays, "cell": np.array([Touches(folder / "executed")], dtype=object)})
    capsys.readouterr()
    assert main(["md", "si.extxyz", "-m", path, *NVE, "--time", "0.03", "--restart"]) == 1
    one_sentence(capsys, "md", "md.state.npz: is damaged")
    assert not (folder / "executed").exists()


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


def test_help_teaches_by_examples(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["md", "--help"])
    assert leaving.value.code == 0
    assert (
        "equipot md POSCAR -m model.pt --ensemble nvt --temperature 300 --time 10" in capsys.readouterr().out
    )
