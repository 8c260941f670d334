from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from equipot.cli.main import main


@pytest.fixture
def file(tmp_path):
    """A volume scan of copper with EMT's labels; `flip` changes the sign of the stress."""

    def make(flip=1.0):
        frames = []
        for s in np.linspace(0.97, 1.04, 6):
            atoms = bulk("Cu", cubic=True)
            atoms.set_cell(atoms.cell * s, scale_atoms=True)
            atoms.calc = EMT()
            atoms.get_potential_energy()
            atoms.calc.results["stress"] = flip * atoms.get_stress()
            frames.append(atoms)
        path = tmp_path / "scan.extxyz"
        ase.io.write(path, frames)
        return str(path)

    return make


def test_a_sound_file_is_ready(file, capsys):
    assert main(["check", file()]) == 0
    out = capsys.readouterr().out
    assert "READY: 0 errors" in out.splitlines()[-1]
    assert "Cu 24" in out


def test_a_flipped_stress_fails_unless_accepted(file, capsys):
    path = file(flip=-1.0)
    assert main(["check", path]) == 1
    assert "NOT READY: 1 error" in capsys.readouterr().out.splitlines()[-1]
    assert main(["check", path, "--accept", "stress-sign"]) == 0
    assert "1 error accepted" in capsys.readouterr().out.splitlines()[-1]


def test_keys_are_given_on_the_command_line(tmp_path, capsys):
    atoms = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.4]], info={"dft_energy": -7.0})
    ase.io.write(tmp_path / "a.xyz", atoms)
    assert main(["check", str(tmp_path / "a.xyz")]) == 1
    assert "energy_key: dft_energy" in " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert main(["check", str(tmp_path / "a.xyz"), "--energy-key", "dft_energy"]) == 0
    capsys.readouterr()
    assert main(["check", str(tmp_path / "a.xyz"), "--energy-key", "dft_enrgy"]) == 1
    assert "did you mean dft_energy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.xyz"], "/missing.xyz: there is no such file"),
        (["missing.xyz", "--accept", "nonsense"], "'nonsense' is not the name of a check"),
        (["missing.xyz", "--cutoff", "-1"], "expected a positive length"),
        (["missing.xyz", "--e0", "Si:3"], "not of the form Element=eV"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, capsys):
    assert main(["check", *arguments]) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("scna.extxyz", "{folder}/scna.extxyz: there is no such file; did you mean scan.extxyz?"),
        ("s*.xyz", "{folder}/s*.xyz: matches no file"),
        (
            "sets/scan.extxyz",
            "{folder}/sets/scan.extxyz: there is no such file; {folder} has no folder 'sets'",
        ),
    ],
)
def test_a_missing_file_is_named_with_its_folder_and_the_nearest_name(file, name, sentence, capsys):
    folder = Path(file()).parent
    assert main(["check", str(folder / name)]) == 1
    assert sentence.format(folder=folder) in capsys.readouterr().err
