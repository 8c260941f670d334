import csv
import sys

import ase.io
import numpy as np
import pytest

from equipot.calculators import EquipotCalculator
from equipot.cli.main import main
from equipot.cli.phonons import degenerate
from equipot.properties.phonons import frequencies_at
from equipot.properties.physics import diamond_sublattice, gamma_optical_phonon
from tests.cli.simulation_inputs import UNUSABLE, one_sentence, path, silicon, unusable_structures

__all__ = ["path"]

phonopy = pytest.importorskip("phonopy")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def test_the_folder_holds_what_phonopy_reads_and_the_frozen_phonon_confirms(path, folder, capsys, figures):
    ase.io.write("si.extxyz", silicon(None))
    arguments = ["--no-relax", "--supercell", "2", "2", "2", "-o", "out/si", "--tmax", "500"]
    assert main(["phonons", "si.extxyz", "-m", path, *arguments]) == 0
    loaded = phonopy.load(folder / "out/si/phonopy.yaml", log_level=0)
    gamma = frequencies_at(loaded, [[0, 0, 0]])[0]
    optical = gamma_optical_phonon(
        silicon(None), EquipotCalculator(path), diamond_sublattice(silicon(None)), displacement=0.01
    )
    np.testing.assert_allclose(gamma[3:] if optical > 0 else gamma[:3], optical, rtol=2e-3)
    with open("out/si/thermal.csv", newline="") as file:
        thermal = list(csv.DictReader(file))
    assert float(thermal[-1]["temperature_K"]) == 500.0
    with open("out/si/bands.csv", newline="") as file:
        bands = list(csv.DictReader(file))
    q = [float(bands[40][name]) for name in ("qa", "qb", "qc")]
    modes = [float(bands[40][f"mode{k}_THz"]) for k in range(1, 7)]
    np.testing.assert_allclose(np.sort(modes), np.sort(frequencies_at(loaded, [q])[0]), atol=1e-3)
    assert (folder / "out/si/phonons.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "out/si/band.yaml").exists()
    assert np.loadtxt(folder / "out/si/dos.csv", delimiter=",", skiprows=1).shape[1] == 2
    assert not (folder / "out/si/relaxed.extxyz").exists()
    text = capsys.readouterr().out
    assert "Frequencies at Γ" in text
    assert "supercell 2 × 2 × 2: 64 atoms" in text


def test_the_structure_is_relaxed_in_its_symmetry_first(path, folder, capsys):
    spglib = pytest.importorskip("spglib")
    atoms = silicon(2, 0.001)
    atoms.set_cell(1.03 * atoms.cell.array, scale_atoms=True)
    ase.io.write("si.extxyz", atoms)
    assert main(["phonons", "si.extxyz", "-m", path, "--supercell", "5", "-o", "si"]) == 0
    found = ase.io.read("si/relaxed.extxyz")
    assert np.abs(found.get_stress()).max() < 0.01 / 160
    cell = (found.cell.array, found.get_scaled_positions(), found.numbers)
    assert spglib.get_spacegroup(cell) == "Fd-3m (227)"
    assert "relaxed in" in capsys.readouterr().out


def test_imaginary_modes_are_named_with_their_wave_vector(path, folder, capsys):
    atoms = silicon(None)
    atoms.set_cell(1.25 * atoms.cell.array, scale_atoms=True)  # far from any minimum
    ase.io.write("si.extxyz", atoms)
    assert main(["phonons", "si.extxyz", "-m", path, "--no-relax", "--supercell", "2", "2", "2"]) == 0
    text = capsys.readouterr().out
    assert "Warning: imaginary mode: " in text
    assert "i THz at q = (" in text


def test_a_relaxation_that_does_not_end_is_one_sentence(path, folder, capsys):
    ase.io.write("si.extxyz", silicon())
    assert main(["phonons", "si.extxyz", "-m", path, "--steps", "1"]) == 1
    one_sentence(capsys, "phonons", "si.extxyz did not relax in 1 steps: forces")


def test_a_full_disk_is_one_sentence(path, folder, capsys):
    ase.io.write("si.extxyz", silicon(None))
    (folder / "out").mkdir()
    (folder / "out" / "dos.csv").symlink_to("/dev/full")
    arguments = ["--no-relax", "--supercell", "1", "1", "1", "-o", "out"]
    assert main(["phonons", "si.extxyz", "-m", path, *arguments]) == 1
    one_sentence(capsys, "phonons", "No space left on device")


def test_without_phonopy_one_sentence_says_how_to_get_it(path, folder, capsys, monkeypatch):
    ase.io.write("si.extxyz", silicon())
    monkeypatch.setitem(sys.modules, "phonopy", None)
    assert main(["phonons", "si.extxyz", "-m", path]) == 1
    one_sentence(capsys, "phonons", "pip install phonopy")


def test_frequencies_that_follow_closely_are_one_row():
    rows = degenerate(np.array([9.004, 0.0, -0.001, 0.001, 9.0, 12.0]))
    assert [n for _, n in rows] == [3, 2, 1]
    assert rows[1][0] == pytest.approx(9.002)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *UNUSABLE,
        (["dimer.extxyz"], "phonons need a crystal"),
        (["dimer.extxyz", "--supercell", "2", "2", "2"], "phonons need a crystal"),
        (["overlap.extxyz"], "the symmetry of the crystal is not recognised"),
        (["overlap.extxyz", "--no-relax"], "the symmetry of the crystal is not recognised"),
        (["si.extxyz", "-o", "old"], "phonopy.yaml exists; replace it with --overwrite"),
        (["dimer.extxyz", "--no-relax"], "phonons need a crystal"),
        (["si.extxyz", "--supercell", "2", "2"], "--supercell is 2 2; expected three repeats"),
        (["si.extxyz", "--supercell", "2", "2", "1.5"], "--supercell is 2 2 1.5"),
        (["si.extxyz", "--supercell", "3"], "for repeats of the cell give 3 3 3"),
        (["si.extxyz", "--supercell", "nan"], "--supercell is nan"),
        (["si.extxyz", "--displacement", "0"], "displacement is 0"),
        (["si.extxyz", "--tmax", "-1"], "--tmax is -1 K"),
        (["si.extxyz", "--fmax", "-1"], "fmax is -1"),
        (["si.extxyz", "-o", "copper.extxyz"], "copper.extxyz is a file"),
    ],
)
def test_what_has_no_phonons_is_one_sentence(path, folder, capsys, arguments, words):
    unusable_structures(folder)
    (folder / "old").mkdir()
    (folder / "old" / "phonopy.yaml").touch()
    model = [] if "-m" in arguments else ["-m", path]
    assert main(["phonons", *arguments, *model]) == 1
    one_sentence(capsys, "phonons", words)


def test_help_teaches_by_examples(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["phonons", "--help"])
    assert leaving.value.code == 0
    assert "equipot phonons POSCAR -m model.pt" in capsys.readouterr().out
