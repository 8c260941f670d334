import base64
import json
import re
from html.parser import HTMLParser

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from equipot.calculators import EquipotCalculator
from equipot.cli.main import main
from equipot.properties.elastic import elastic_constants
from equipot.simulation.relaxation import relax
from tests.cli.simulation_inputs import UNUSABLE, one_sentence, path, silicon, unusable_structures

__all__ = ["path"]

QUICK = ["--md-time", "0.02", "--md-atoms", "8"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def labelled(atoms: Atoms, calculator: EquipotCalculator, group: str) -> Atoms:
    copy = atoms.copy()
    copy.calc = calculator
    results = {
        "energy": copy.get_potential_energy(),
        "forces": copy.get_forces(),
        "stress": copy.get_stress(),
    }
    copy.calc = SinglePointCalculator(copy, **results)
    copy.info["config_type"] = group
    return copy


@pytest.fixture
def data(path, folder):
    """Labels of the model itself: whatever is compared with them must agree."""
    calculator = EquipotCalculator(path)
    rest = relax(silicon(None), calculator, cell="full", fmax=1e-4, smax=1e-3, symmetry=True).atoms
    frames = [labelled(silicon(seed), calculator, "rattled") for seed in range(3)]
    for scale in np.linspace(0.97, 1.03, 9):
        atoms = Atoms(rest.symbols, positions=rest.positions, cell=rest.cell, pbc=True)
        atoms.set_cell(scale * rest.cell.array, scale_atoms=True)
        frames.append(labelled(atoms, calculator, "<volume>"))
    ase.io.write(folder / "data.extxyz", frames)
    return rest


class Strict(HTMLParser):
    """Every element closed in order, nothing fetched from elsewhere, no script."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[bytes] = []

    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "link", "iframe")
        for name, value in attributes:
            if name == "src":
                assert value.startswith("data:image/png;base64,")
                self.images.append(base64.b64decode(value.partition(",")[2]))
            if name == "href":
                assert value.startswith("#")
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_agrees_with_labels_of_the_model_itself(path, data, folder, capsys, figures):
    arguments = ["data.extxyz", "--json", "figures.json", "-o", "out/report.html", *QUICK]
    assert main(["report", path, *arguments]) == 0
    html = (folder / "out/report.html").read_text(encoding="utf-8")
    parser = Strict()
    parser.feed(html)
    assert parser.open == []
    assert len(parser.images) == 7  # parity, dimers, cutoff, volumes, phonons, energy, g(r)
    assert all(image.startswith(b"\x89PNG") for image in parser.images)
    assert "http" not in re.sub(r"base64,[^\"]*", "", html)
    assert "&lt;volume&gt;" in html
    assert "<volume>" not in html

    found = json.loads((folder / "figures.json").read_text())
    assert found["Training"]["missing"].startswith("there is no")
    assert all(v["missing"] is None for k, v in found.items() if k != "Training")
    of = {f["name"]: f for section in found.values() for f in section["figures"]}
    # The file has eight decimals.
    for name in ("energy error (RMSE)", "forces error (RMSE)", "stress error (RMSE)"):
        assert of[name]["value"] < 1e-3
    assert of["lattice parameter a"]["value"] == pytest.approx(data.cell.lengths()[0], rel=1e-4)
    for name in ("lattice parameter a, of labelled volumes", "bulk modulus, of labelled volumes"):
        assert of[name]["value"] == pytest.approx(of[name]["dft"], rel=1e-3)
    elastic = elastic_constants(data, EquipotCalculator(path)).independent()
    expected = (elastic["C11"] + 2 * elastic["C12"]) / 3
    assert of["bulk modulus"]["value"] == pytest.approx(expected, rel=0.01)
    for name in ("C11", "C12", "C44"):
        assert of[name]["value"] == pytest.approx(elastic[name], abs=0.3)
    assert of["largest jump of a force at the cutoff"]["value"] < 1e-5
    text = capsys.readouterr().out
    for piece in (
        "lattice parameter a",
        "C44",
        "highest frequency at Γ",
        "µeV/atom/ps",
        "written to out/report.html",
    ):
        assert piece in text


def test_without_crystal_and_data_the_page_says_what_is_missing_and_why(path, folder):
    assert main(["report", path, *QUICK]) == 0
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert html.count("no structure and no data were given; give a crystal with --structure.") == 1
    assert "<b>Errors</b>: no labelled structures were given" in html
    assert "minimum Å" in html


def test_the_training_is_shown_where_its_metrics_lie_beside_the_model(path, folder):
    from pathlib import Path

    model = folder / "run" / "model.pt"
    model.parent.mkdir()
    model.write_bytes(Path(path).read_bytes())
    header = (
        "epoch,seconds,learning_rate,train_loss,train_energy_per_atom_rmse,validation_energy_per_atom_rmse"
    )
    header += ",train_forces_rmse,validation_forces_rmse,train_stress_rmse,validation_stress_rmse\n"
    (model.parent / "metrics.csv").write_text(
        header + "1,1,0.1,2,0.1,0.2,0.3,0.4,,\n2,2,0.1,1,0.05,0.1,0.2,0.3,,\n"
    )
    skip = [
        word
        for name in ("pairs", "md", "phonons", "eos", "crystal", "elastic", "errors")
        for word in ("--skip", name)
    ]
    assert main(["report", str(model), *skip, "--json", "f.json"]) == 0
    assert json.loads((folder / "f.json").read_text())["Training"]["missing"] is None
    assert "loss and errors over time" in (folder / "report.html").read_text(encoding="utf-8")


def test_an_error_of_the_program_leaves_the_other_sections_and_exits_with_1(
    path, folder, capsys, monkeypatch
):
    from equipot.report import build

    def broken(subject):
        raise ZeroDivisionError("<division>")

    monkeypatch.setitem(build.SECTIONS, "eos", ("Equation of state", broken))
    ase.io.write("si.extxyz", silicon(None))
    skip = ["--skip", "phonons", "--skip", "elastic", "--skip", "md"]
    assert main(["report", path, "--structure", "si.extxyz", *skip]) == 1
    one_sentence(capsys, "report", "Equation of state failed due to an error in equipot itself")
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "ZeroDivisionError: &lt;division&gt;" in html
    assert "relaxed in its space group" in html


@pytest.mark.parametrize("pbc", [False, (True, True, False)])
def test_a_molecule_or_layer_has_dynamics_and_nothing_of_a_crystal(path, folder, capsys, pbc):
    atoms = Atoms("Si3", [[0, 0, 0], [3.4, 0, 0], [1.7, 3, 0]], cell=[12, 12, 12], pbc=pbc)
    ase.io.write("si.extxyz", atoms)
    assert main(["report", path, "--structure", "si.extxyz", "--json", "f.json", *QUICK]) == 0
    found = json.loads((folder / "f.json").read_text())
    for name in ("Crystal", "Equation of state", "Elastic constants", "Phonons"):
        assert found[name]["missing"] == (
            "si.extxyz is not periodic in all three directions, so it is not a crystal."
        )
    of = {f["name"]: f["value"] for f in found["Molecular dynamics"]["figures"]}
    assert abs(of["drift of the energy"]) < np.inf
    assert ("mean pressure" in of) == bool(np.any(pbc))


def test_sections_that_lack_the_same_say_so_once(path, folder, capsys):
    ase.io.write("unlabelled.extxyz", silicon())
    assert main(["report", path, "unlabelled.extxyz", "--skip", "training"]) == 0
    text = capsys.readouterr().out
    crystal = "Crystal, Equation of state, Elastic constants, Phonons, Molecular dynamics"
    assert f"{crystal}: no frame of the data has forces below 0.05 eV/Å" in text
    assert "Errors: the structures of unlabelled.extxyz hold no labels" in text
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert html.count("no frame of the data has forces") == 1
    assert "<th>DFT labels</th>" not in html  # a column of nothing


def test_a_full_disk_is_one_sentence(path, folder, capsys):
    (folder / "full.html").symlink_to("/dev/full")
    assert main(["report", path, "-o", "full.html", "--skip", "pairs"]) == 1
    one_sentence(capsys, "report", "full.html: No space left on device")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *[(["--structure", *arguments], words) for arguments, words in UNUSABLE if "-m" not in arguments],
        (["copper.extxyz"], "holds Cu, but the model knows only Si"),
        (["no.extxyz"], "there is no such file"),
        (["--elements", "Si,U"], "--elements: the model does not know U"),
        (["--temperature", "0"], "--temperature is 0 K"),
        (["--md-time", "nan"], "--md-time is nan ps"),
        (["--timestep", "-1"], "--timestep is -1 fs"),
        (["--md-atoms", "0"], "--md-atoms is 0"),
        (["-o", "."], ". is a folder"),
        (["--json", "."], ". is a folder"),
        (["-o", "report.png"], "report.png must end in .html"),
    ],
)
def test_what_cannot_be_reported_on_is_one_sentence(path, folder, capsys, arguments, words):
    unusable_structures(folder)
    assert main(["report", path, *arguments]) == 1
    one_sentence(capsys, "report", words)


def test_help_teaches_by_examples(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["report", "--help"])
    assert leaving.value.code == 0
    assert "equipot report runs/silicon/model.pt test.extxyz" in capsys.readouterr().out
