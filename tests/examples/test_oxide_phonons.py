"""The example on phonons of an oxide, in its shortest form, with labels of a model of springs."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write

from equipot.calculators import EquipotCalculator
from equipot.cli.main import main
from tests.examples.running import definitions, end_of_example
from tests.springs import Springs

pytest.importorskip("phonopy")
A = 4.2  # Å
NAME = "oxide_phonons"


@pytest.fixture(scope="module")
def crystal():
    return bulk("MgO", "rocksalt", a=A, cubic=True)


@pytest.fixture(scope="module")
def oracle(crystal, tmp_path_factory) -> Path:
    """A model file that labels: bonds of Mg and O are springs."""
    folder = tmp_path_factory.mktemp("oracle")
    displaced = definitions(NAME)["displaced"](crystal, 16, 0.03, np.random.default_rng(1))
    labelled = definitions("common", "labels")["labelled"]
    write(folder / "springs.extxyz", labelled(displaced, Springs(2.0, A / 2)))
    config = folder / "config.yaml"
    config.write_text(
        f"data: {{train: springs.extxyz}}\nmodel: {{preset: tiny, cutoff: 3.0}}\n"
        f"training: {{max_epochs: 10, threads: 1}}\noutput: {folder / 'model'}\n"
    )
    assert main(["train", str(config)]) == 0
    return folder / "model/model.pt"


@pytest.fixture(scope="module")
def output(oracle, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mgo")
    short = ("--minutes", 0.03, "--frames", 6, "--repeat", 1, "--supercell", 2, "--labels", oracle)
    assert end_of_example(NAME, "--output", folder, *short) == 0
    return folder


def test_the_labels_agree_with_themselves_and_the_models_are_compared_with_them(output):
    found = json.loads((output / "phonons.json").read_text())
    assert list(found) == ["labels", "one volume", "strained"]
    assert found["labels"]["a_difference_percent"] == found["labels"]["bands_rms_THz"] == 0
    crystal, strained = read(output / "mgo.cif"), read(output / "phonons_strained/relaxed.extxyz")
    assert found["labels"]["a"] == pytest.approx(crystal.cell.lengths()[0], rel=1e-5)
    ratio = strained.cell.lengths()[0] / crystal.cell.lengths()[0]
    assert found["strained"]["a_difference_percent"] == pytest.approx(100 * (ratio - 1), abs=1e-3)
    assert found["strained"]["bands_rms_THz"] > 0
    assert (output / "bands.png").is_file()


def test_the_bands_that_are_read_are_those_of_phonopy(output):
    import phonopy

    bands = definitions(NAME)["bands"](output / "phonons_labels")
    phonon = phonopy.load(output / "phonons_labels/phonopy.yaml", log_level=0)
    phonon.run_qpoints([[0, 0, 0]])
    np.testing.assert_allclose(
        np.sort(bands["frequencies"][0]), np.sort(phonon.qpoints.frequencies[0]), atol=1e-4
    )
    assert bands["labels"][0] == ["Γ", "X"]
    assert len(bands["labels"]) == bands["line"].max() + 1


def test_one_set_has_one_volume_and_no_stresses_and_the_other_has_both(output, oracle):
    fixed, strained = read(output / "one_volume.extxyz", ":"), read(output / "strained.extxyz", ":")
    assert len(fixed) == len(strained) == 6
    assert np.ptp([a.get_volume() for a in fixed]) < 1e-6
    assert not any("stress" in a.calc.results for a in fixed)
    assert np.ptp([a.get_volume() for a in strained]) > 0.5
    calculator = EquipotCalculator(oracle)
    calculator.warns = False
    for atoms in (fixed[0], strained[0]):
        labels = atoms.calc.results
        copy = atoms.copy()
        copy.calc = calculator
        np.testing.assert_allclose(copy.get_forces(), labels["forces"], atol=1e-5)
    np.testing.assert_allclose(copy.get_stress(), labels["stress"], atol=1e-6)


def test_a_missing_model_is_one_sentence(tmp_path):
    message = end_of_example(NAME, "--output", tmp_path, "--labels", tmp_path / "none.pt")
    assert "none.pt" in str(message)
    assert "\n" not in str(message)
