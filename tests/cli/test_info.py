import json

import pytest

from equipot.cli.main import main
from equipot.model_file import write_model
from tests.models import KINDS, make_potential


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    potential = make_potential(seed=1, **KINDS["extras"])
    statistics = {
        "e0_source": {"Si": "fitted", "O": "given"}, "atoms_of": {"Si": 31, "O": 62}, "rms_force": 1.25,
        "n_frames": 17, "rms_stress": None,
    }  # fmt: skip
    training = {"epoch": 12, "validation_forces_rmse": 0.0625, "frames": {"train": 17, "validation": 2}}
    file = tmp_path_factory.mktemp("models") / "model.pt"
    return write_model(file, potential, statistics=statistics, training=training, verify=False)


def test_what_the_file_holds_is_printed(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["info", str(path)]) == 0
    text = capsys.readouterr().out
    for piece in (
        "version 3", "float64", "4 Å", "Si-O 3.1 Å", "4x0e+3x1o", "quintic splines with 128 knots",
        "passed: 3 structures",
        "-1.500000", "-2.500000", "fitted", "62", "1.25", "0.0625", "train 17, validation 2", "xplor",
        "rms force (eV/Å)", "rms stress (eV/Å³)",
    ):  # fmt: skip
        assert piece in text, piece


def test_json_is_the_raw_metadata(path, capsys):
    assert main(["info", str(path), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["spec"]["type_names"] == ["Si", "O"]
    assert values["training"]["epoch"] == 12
    assert len(values["self_test"]) == 3


def test_a_file_that_says_nothing_about_a_training_is_fine(tmp_path, capsys):
    path = write_model(tmp_path / "m.pt", make_potential(), verify=False)
    assert main(["info", str(path)]) == 0
    assert "holds no data about a training" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
def test_what_is_no_model_file_is_refused_in_one_sentence(tmp_path, capsys, content):
    path = tmp_path / "m.pt"
    if content is not None:
        path.write_bytes(content)
    assert main(["info", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"equipot info: {path}: ")
    assert len(captured.err.strip().splitlines()) == 1


def test_help_needs_no_model(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["info", "--help"])
    assert leaving.value.code == 0
    assert "--json" in capsys.readouterr().out
