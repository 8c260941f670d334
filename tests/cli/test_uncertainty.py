"""`equipot uncertainty`, and what commands say about atoms that are unlike the training set."""

import json
import warnings

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from equipot.calculators import EquipotCalculator
from equipot.cli.main import main
from equipot.model_file import read_metadata, write_model
from equipot.network.derivatives import predict
from equipot.uncertainty.warning import ExtrapolationWarning, volume_sentence
from tests.models import make_potential, model_input, random_atoms


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("uncertainty")
    write_model(place / "plain.pt", make_potential(seed=3, dtype="float64"), verify=False)
    ase.io.write(place / "train.extxyz", [random_atoms(8, seed=k) for k in range(30)])
    command = ["uncertainty", str(place / "plain.pt"), str(place / "train.extxyz")]
    assert main([*command, "-o", str(place / "graded.pt")]) == 0
    ase.io.write(place / "like.extxyz", random_atoms(8, seed=0))
    squeezed = random_atoms(8, seed=0)
    squeezed.set_cell(squeezed.cell * 0.75, scale_atoms=True)
    ase.io.write(place / "unlike.extxyz", squeezed)
    return place


def test_the_command_adds_grades_and_says_to_what(folder, capsys):
    out = folder / "again.pt"
    assert main(["uncertainty", str(folder / "graded.pt"), str(folder / "train.extxyz"), "-o", str(out)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "grades of 30 structures" in text
    metadata = read_metadata(out)
    assert metadata.spec["grade"]
    assert sum(metadata.training["extrapolation_grade"]["atoms"].values()) == 240
    assert main(["info", str(out)]) == 0
    assert "extrapolation grade" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("structures", "words"),
    [
        ([Atoms("Ge2", [[0, 0, 0], [2, 0, 0]])], "holds Ge, but the model knows only Si, O"),
        ([random_atoms(3)], "too few for extrapolation grades"),
    ],
)
def test_bad_structures_are_a_sentence(folder, tmp_path, capsys, structures, words):
    ase.io.write(tmp_path / "bad.extxyz", structures)
    command = ["uncertainty", str(folder / "plain.pt"), str(tmp_path / "bad.extxyz")]
    assert main([*command, "-o", str(tmp_path / "out.pt")]) == 1
    message = capsys.readouterr().err
    assert words in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "out.pt").exists()


def labelled(n, seed=100, species=("Si", "O")):
    """Frames with labels of another network."""
    truth = make_potential(seed=7)
    frames = []
    for k in range(n):
        atoms = random_atoms(8, seed=seed + k, species=species)
        prediction = predict(truth, model_input(truth, atoms)) if "Si" in species else None
        forces = np.zeros((8, 3)) if prediction is None else prediction.forces.numpy()
        atoms.calc = SinglePointCalculator(atoms, energy=-12.0, forces=forces)
        frames.append(atoms)
    return frames


def test_held_out_frames_give_predicted_errors(folder, tmp_path, capsys):
    ase.io.write(tmp_path / "held.extxyz", labelled(12))
    command = ["uncertainty", str(folder / "plain.pt"), str(folder / "train.extxyz")]
    calibrate = ["--calibrate", str(tmp_path / "held.extxyz"), "--members", "6"]
    assert main([*command, *calibrate, "-o", str(tmp_path / "m.pt")]) == 0
    assert "6 members predict errors, scaled by those of 12 frames" in " ".join(
        capsys.readouterr().out.split()
    )
    summary = read_metadata(tmp_path / "m.pt").training["predicted_errors"]
    assert summary["members"] == 6
    assert summary["held_out_frames"] == 12
    assert main(["info", str(tmp_path / "m.pt")]) == 0
    assert "predicted errors" in capsys.readouterr().out
    calculator = EquipotCalculator(tmp_path / "m.pt")
    calculator.warns = False
    errors, predicted = [], []
    for atoms in labelled(30, seed=500):
        grades = calculator.predicted_errors(atoms)
        errors.append(np.square(calculator.get_forces(atoms) - atoms.get_forces()).sum(1))
        predicted.append(np.square(grades.forces / np.clip(calculator.outputs["gamma"], 1, None)))
    assert np.mean(predicted) == pytest.approx(np.mean(errors), rel=0.5)
    # Grades alone replace what there was.
    again = [
        "uncertainty",
        str(tmp_path / "m.pt"),
        str(folder / "train.extxyz"),
        "-o",
        str(tmp_path / "n.pt"),
    ]
    assert main(again) == 0
    assert "predicted_errors" not in read_metadata(tmp_path / "n.pt").training
    assert EquipotCalculator(tmp_path / "n.pt").model.predicts_errors is False


@pytest.mark.parametrize(
    ("frames", "options", "words"),
    [
        (labelled(3, species=("Ge",)), [], "holds Ge, but the model knows only Si, O"),
        ([random_atoms(8)], [], "no held-out frame has forces"),
        (labelled(3), ["--members", "1"], "--members is 1; expected 2 or more"),
    ],
)
def test_bad_held_out_frames_are_a_sentence(folder, tmp_path, capsys, frames, options, words):
    ase.io.write(tmp_path / "held.extxyz", frames)
    command = [
        "uncertainty",
        str(folder / "plain.pt"),
        str(folder / "train.extxyz"),
        "-o",
        str(tmp_path / "m.pt"),
    ]
    assert main([*command, "--calibrate", str(tmp_path / "held.extxyz"), *options]) == 1
    message = capsys.readouterr().err
    assert words in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "m.pt").exists()


def test_a_calculator_warns_once_and_remembers_the_highest_grade(folder):
    like, unlike = ase.io.read(folder / "like.extxyz"), ase.io.read(folder / "unlike.extxyz")
    calculator = EquipotCalculator(folder / "graded.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        like.calc = calculator
        like.get_forces()
    assert 0 < calculator.extrapolation.grade <= 1 + 1e-6
    unlike.calc = calculator
    with pytest.warns(ExtrapolationWarning, match="times as far from the training atoms of its element"):
        unlike.get_forces()
    highest = calculator.outputs["gamma"]
    assert calculator.extrapolation.grade == highest.max()
    assert calculator.extrapolation.atom == highest.argmax()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unlike.rattle(0.01)
        unlike.get_forces()


def test_relax_says_it_once(folder, tmp_path, capsys):
    model = str(folder / "graded.pt")
    main(
        [
            "relax",
            str(folder / "unlike.extxyz"),
            "-m",
            model,
            "-o",
            str(tmp_path / "r.extxyz"),
            "--steps",
            "1",
        ]
    )
    assert capsys.readouterr().err.count("warning: atom") == 1
    assert "gamma" in ase.io.read(tmp_path / "r.extxyz").arrays


def md(folder, tmp_path, structure, *options, model="graded.pt"):
    command = ["md", str(folder / structure), "-m", str(folder / model), "-o", str(tmp_path / "md.extxyz")]
    run = ["--ensemble", "nve", "--time", "0.005", "--temperature", "10", "--log-interval", "1"]
    return main([*command, *run, *options])


def test_a_run_has_a_column_of_the_highest_grade(folder, tmp_path):
    assert md(folder, tmp_path, "like.extxyz") == 0
    rows = np.genfromtxt(tmp_path / "md.csv", delimiter=",", names=True)
    assert (rows["gamma"] > 0).all()
    last = ase.io.read(tmp_path / "md.extxyz")
    assert last.arrays["gamma"].max() == pytest.approx(rows["gamma"][-1], rel=1e-6)


def test_a_run_stops_above_a_grade_with_its_last_frame_written(folder, tmp_path, capsys):
    assert md(folder, tmp_path, "unlike.extxyz", "--stop-above", "1.5") == 1
    message = capsys.readouterr().err
    assert "stopped after step 1 (0.001 ps), as a grade is above 1.5: atom" in message
    assert ase.io.read(tmp_path / "md.extxyz", "-1").info["step"] == 1


def test_frames_above_a_grade_are_written(folder, tmp_path):
    assert md(folder, tmp_path, "unlike.extxyz", "--save-above", "1.5") == 0
    saved = ase.io.read(tmp_path / "md-unlike.extxyz", ":")
    assert [frame.info["step"] for frame in saved] == list(range(6))
    assert all(frame.arrays["gamma"].max() > 1.5 for frame in saved)
    assert md(folder, tmp_path, "like.extxyz", "--save-above", "1.5", "--overwrite") == 0
    assert not (tmp_path / "md-unlike.extxyz").exists()


def test_a_model_without_grades_cannot_be_asked_for_them(folder, tmp_path, capsys):
    assert md(folder, tmp_path, "like.extxyz", "--stop-above", "2", model="plain.pt") == 1
    assert "gives no extrapolation grades; add them with `equipot uncertainty" in capsys.readouterr().err
    assert md(folder, tmp_path, "like.extxyz", "--stop-above", "-1") == 1
    assert "--stop-above is -1; expected a positive grade" in capsys.readouterr().err


def statistics_of(volumes, n_stresses=0):
    return {"volumes": volumes, "n_stresses": n_stresses}


@pytest.mark.parametrize(
    ("statistics", "words"),
    [
        (statistics_of([20.0, 20.05]), "had one volume (20 Å³ per atom) and no stresses"),
        (statistics_of([2.0, 3.0]), "but the volumes of the training frames are 2 to 3 Å³ per atom"),
        (statistics_of([1.0, 1e6]), ""),
        (statistics_of(None), ""),
        (None, ""),
    ],
)
def test_a_relaxed_cell_of_unknown_volume_is_named(folder, tmp_path, capsys, statistics, words):
    model = write_model(tmp_path / "m.pt", make_potential(seed=3), statistics=statistics, verify=False)
    command = ["relax", str(folder / "like.extxyz"), "-m", str(model), "-o", str(tmp_path / "r.extxyz")]
    main([*command, "--cell", "full", "--steps", "2"])
    errors = capsys.readouterr().err
    assert words in errors
    assert errors.count("warning: ") == (1 if words else 0)
    main([*command, "--cell", "none", "--steps", "2", "--overwrite"])
    assert "warning" not in capsys.readouterr().err


def test_stresses_of_one_volume_tell_the_size_of_the_cell():
    assert volume_sentence(statistics_of([20.0, 20.05], n_stresses=5), 20.1) is None
    assert "relaxed to 25" in volume_sentence(statistics_of([20.0, 20.05], n_stresses=5), 25.0)
    # The volume of a layer depends on its vacuum.
    assert volume_sentence(statistics_of([20.0, 20.05], n_stresses=5), None) is None
    assert "had one volume" in volume_sentence(statistics_of([20.0, 20.05]), None)


def test_an_evaluation_says_how_many_frames_are_unlike(folder, tmp_path, capsys):
    frames = [*ase.io.read(folder / "train.extxyz", ":5"), ase.io.read(folder / "unlike.extxyz")]
    for atoms in frames:
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((len(atoms), 3)))
    ase.io.write(tmp_path / "test.extxyz", frames)
    command = [
        "evaluate",
        str(folder / "graded.pt"),
        str(tmp_path / "test.extxyz"),
        "-o",
        str(tmp_path / "ev"),
    ]
    assert main(command) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "1 of 6 frames have an atom with an extrapolation grade above 1." in text
    assert "meV/Å there and" in text
    values = json.loads((tmp_path / "ev/evaluation.json").read_text())
    assert [grade > 1 for grade in values["highest_grades"]] == [False] * 5 + [True]


def test_ase_takes_the_results(folder, tmp_path):
    """ASE's own containers refuse names that it does not know."""
    atoms = ase.io.read(folder / "like.extxyz")
    atoms.calc = EquipotCalculator(folder / "graded.pt")
    atoms.get_forces()
    assert SinglePointCalculator(atoms, **atoms.calc.results).results.keys() == atoms.calc.results.keys()
    assert set(atoms.calc.export_properties()) >= set(atoms.calc.results)
    assert atoms.calc.outputs["gamma"].shape == (8,)
    atoms.rattle(0.01)
    atoms.calc.reset()
    assert atoms.calc.outputs == {}
    atoms.get_potential_energy()
    assert atoms.calc.outputs["gamma"].shape == (8,)
