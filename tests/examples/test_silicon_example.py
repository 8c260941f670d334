"""The silicon example is complete and its data are sound; its results are checked by `make quickstart`."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.io import read

from equipot.cli.main import main
from equipot.config_file import load_config

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "silicon"
SCRIPTS = ("equation_of_state", "elastic", "md_ase", "md_lammps", "compare_ranks", "quickstart")


@pytest.fixture
def script(monkeypatch):
    """Runs a script of the example as `python script.py …` would."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(EXAMPLE), *sys.path])

    def run(name: str, *arguments: str) -> dict:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        return runpy.run_path(str(EXAMPLE / f"{name}.py"), run_name="__main__")

    yield run
    # Modules of the example have common names and must not be found by other tests.
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(EXAMPLE)):
            del sys.modules[name]


def test_the_data_pass_all_checks(capsys):
    assert main(["check", str(EXAMPLE / "silicon.extxyz")]) == 0, capsys.readouterr().out


def test_stress_labels_are_the_slope_of_the_energy_labels():
    frames = [a for a in read(EXAMPLE / "silicon.extxyz", index=":") if a.info["config_type"] == "volume"]
    frames.sort(key=lambda a: a.get_volume())
    volumes = np.array([a.get_volume() for a in frames])
    pressures = np.array([-a.get_stress()[:3].mean() for a in frames]) / units.GPa
    curve = np.polynomial.Polynomial.fit(volumes, [a.get_potential_energy() for a in frames], 8)
    # A plane-wave basis that does not grow with the cell leaves up to 0.2 GPa.
    np.testing.assert_allclose(pressures, -curve.deriv()(volumes) / units.GPa, atol=0.25)


def test_the_dft_lattice_parameter_and_bulk_modulus_follow_from_the_data(script):
    with pytest.raises(SystemExit):
        script("equation_of_state", "--help")
    module = runpy.run_path(str(EXAMPLE / "equation_of_state.py"))
    found = module["fit"](module["labels"](module["volume_frames"]()))
    assert found["a0"] == pytest.approx(module["DFT"]["a0"], abs=5e-4)
    assert found["bulk_modulus"] == pytest.approx(module["DFT"]["bulk_modulus"], rel=0.01)


@pytest.mark.parametrize(
    "path", [EXAMPLE / "config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))], ids=str
)
def test_every_config_is_valid(path):
    config = load_config(path)
    assert config.output.startswith("runs/")


def test_the_config_finds_its_data_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (data,) = load_config(EXAMPLE / "config.yaml").data.train
    assert Path(data).is_file()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_explains_itself(name, script, capsys):
    with pytest.raises(SystemExit) as end:
        script(name, "--help")
    assert end.value.code == 0
    assert "--output" in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "quickstart"])
def test_a_missing_model_is_named_with_the_command_that_makes_it(name, script, capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        script(name, "--model", str(tmp_path / "none.pt"))
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert "none.pt does not exist" in message
    assert "equipot train examples/silicon/config.yaml" in message


def test_the_summary_marks_what_is_missed_and_what_is_not_a_number(script, tmp_path):
    with pytest.raises(SystemExit):
        script("quickstart", "--help")
    below = runpy.run_path(str(EXAMPLE / "limits.py"))["_below"]
    assert below("", "drift", -1e-5, 1e-4, ".1e").met
    assert not below("", "drift", -2e-4, 1e-4, ".1e").met
    assert not below("", "drift", float("nan"), 1e-4, ".1e").met
