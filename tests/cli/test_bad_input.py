"""Broken inputs end with one sentence that says what was found and what to do, and with a non-zero exit code.

`python -m tests.cli.test_bad_input` prints the table of all of them.
"""

import contextlib
import io
import json
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from equipot.cli.main import main
from tests.training.conftest import labelled_frames

KBAR = 1602.1766
CONFIG = {
    "data": {"train": "train.extxyz", "validation_fraction": 0.2},
    "model": {"preset": "tiny", "cutoff": 3.5},
    "training": {"max_epochs": 1, "threads": 1},
}


class Case:
    """A folder with a good training set, config and model, which a case then spoils."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames = labelled_frames(10)
        # A volume scan: pairs of similar frames by which units and signs can be verified.
        from ase.calculators.emt import EMT

        for a in np.linspace(3.45, 3.8, 10):
            atoms = bulk("Cu", "fcc", a=a, cubic=True)
            atoms.calc = EMT()
            results = {k: atoms.calc.get_property(k, atoms) for k in ("energy", "forces", "stress")}
            atoms.calc = SinglePointCalculator(atoms, **results)
            self.frames.append(atoms)
        self.config = json.loads(json.dumps(CONFIG))
        self.config["output"] = str(folder / "run")
        self.arguments: list[str] | None = None

    def map_results(self, key, change):
        for atoms in self.frames:
            atoms.calc.results[key] = change(atoms.calc.results[key])

    def write(self):
        if self.frames:
            write(self.folder / "train.extxyz", self.frames)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))

    @property
    def data(self) -> Path:
        return self.folder / "train.extxyz"

    def model(self, **options) -> Path:
        from equipot.model_file import write_model
        from tests.models import make_potential

        return write_model(
            self.folder / "model.pt", make_potential(species=("Cu", "Ni"), **options), verify=False
        )


def good(case):
    pass


def missing_config(case):
    case.arguments = ["train", str(case.folder / "none.yaml")]


def missing_key(case):
    del case.config["data"]["train"]


def unknown_key(case):
    case.config["training"]["lerning_rate"] = 0.1


def wrong_type(case):
    case.config["training"]["batch_size"] = "many"


def key_twice(case):
    case.write()
    file = case.folder / "config.yaml"
    file.write_text(file.read_text() + "output: elsewhere\n")
    case.write = lambda: None


def not_yaml(case):
    case.write()
    (case.folder / "config.yaml").write_text("data: [train\n")
    case.write = lambda: None


def missing_file(case):
    case.config["data"]["train"] = "other*.extxyz"


def mistyped_file(case):
    case.config["data"]["test"] = "trian.extxyz"


def cutoff_below_all_distances(case):
    case.config["model"]["cutoff"] = 1.5


def huge_cutoff(case):
    case.config["model"]["cutoff"] = 50.0


def nan_force(case):
    case.frames[3].calc.results["forces"][1, 2] = np.nan


def flipped_stress(case):
    case.map_results("stress", lambda s: -s)


def kbar_stress(case):
    case.map_results("stress", lambda s: KBAR * s)


def flipped_forces(case):
    case.map_results("forces", lambda f: -f)


def contradicting_duplicates(case):
    twin = case.frames[2].copy()
    results = dict(case.frames[2].calc.results)
    results["energy"] = results["energy"] + 0.3
    twin.calc = SinglePointCalculator(twin, **results)
    case.frames.append(twin)


def no_energies(case):
    for atoms in case.frames:
        del atoms.calc.results["energy"]


def labels_under_other_names(case):
    for atoms in case.frames:
        atoms.info["dft_energy"] = atoms.calc.results["energy"]
        atoms.arrays["dft_forces"] = atoms.calc.results["forces"]
        atoms.calc = None


def mapped_key_absent(case):
    case.config["data"]["energy_key"] = "dft_energi"


def zero_cell(case):
    case.write()
    text = case.data.read_text().splitlines()
    text[1] = 'Lattice="0 0 0 0 0 0 0 0 0" ' + text[1].split('" ', 1)[1]
    case.data.write_text("\n".join(text) + "\n")
    case.frames = []


def truncated(case):
    case.write()
    case.data.write_text(case.data.read_text()[:-40])
    case.frames = []


def empty_file(case):
    case.data.write_text("")
    case.frames = []


def coincident_atoms(case):
    case.frames[0].positions[1] = case.frames[0].positions[0] + 0.01


def isolated_atoms_only(case):
    case.frames = []
    for k in range(5):
        atoms = Atoms("Cu")
        atoms.calc = SinglePointCalculator(atoms, energy=-3.0, forces=np.zeros((1, 3)))
        atoms.info["n"] = k
        case.frames.append(atoms)


def pair_of_unknown_element(case):
    case.config["model"]["pair_cutoffs"] = {"Cu-O": 3.0}


def unknown_element_in_test(case):
    alien = bulk("Al", cubic=True)
    alien.calc = SinglePointCalculator(alien, energy=-1.0, forces=np.zeros((4, 3)))
    write(case.folder / "test.extxyz", alien)
    case.config["data"]["test"] = "test.extxyz"


def exploding(case):
    case.config["training"].update(learning_rate=1e30, gradient_clip=0, warmup_steps=0, max_epochs=5)


def unknown_element_in_evaluation(case):
    alien = bulk("Al", cubic=True)
    alien.calc = SinglePointCalculator(alien, energy=-1.0, forces=np.zeros((4, 3)))
    write(case.folder / "alien.extxyz", alien)
    case.arguments = [
        "evaluate",
        str(case.model()),
        str(case.folder / "alien.extxyz"),
        "-o",
        str(case.folder / "e"),
    ]


def missing_model(case):
    case.arguments = ["info", str(case.folder / "none.pt")]


def corrupt_model(case):
    model = case.model()
    model.write_bytes(model.read_bytes()[:20000])
    case.arguments = ["info", str(model)]


def flipped_byte(case):
    model = case.model()
    with zipfile.ZipFile(model) as archive:
        entry = max(archive.infolist(), key=lambda i: i.file_size)
    data = bytearray(model.read_bytes())
    data[entry.header_offset + 300] ^= 1
    model.write_bytes(bytes(data))
    case.arguments = ["info", str(model)]


def future_model(case):
    model = case.model()
    out = model.with_name("future.pt")
    with zipfile.ZipFile(model) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("metadata.json"):
                data = json.dumps({**json.loads(data), "format_version": 99}).encode()
            target.writestr(name, data)
    case.arguments = ["info", str(out)]


def not_a_model(case):
    (case.folder / "model.pt").write_text("hello")
    case.arguments = ["evaluate", str(case.folder / "model.pt"), str(case.data), "-o", str(case.folder / "e")]


def not_a_checkpoint(case):
    case.arguments = ["export", str(case.data), "-o", str(case.folder / "m.pt")]


# name: (how it is spoiled, command, what the message must say)
CASES = {
    "missing config file": (missing_config, "train", "no such config"),
    "missing key": (missing_key, "train", "'data.train' is missing"),
    "unknown key": (unknown_key, "train", "did you mean 'learning_rate'"),
    "wrong type": (wrong_type, "train", "'training.batch_size' is 'many'"),
    "key given twice": (key_twice, "train", "'output' is given twice"),
    "not YAML": (not_yaml, "train", "not valid YAML"),
    "no such data file": (missing_file, "train", "config.yaml: data.train: /"),
    "mistyped data file": (
        mistyped_file,
        "train",
        "no such file (paths are relative to the folder of the config); did you mean train.extxyz?",
    ),
    "cutoff below all distances": (
        cutoff_below_all_distances,
        "train",
        "the cutoff of 1.5 Å is shorter than the shortest distance",
    ),
    "huge cutoff": (huge_cutoff, "train", "a cutoff of 50 Å means about"),
    "NaN force": (nan_force, "train", "finite"),
    "stress of wrong sign": (flipped_stress, "train", "multiply them by -1"),
    "stress in kbar": (kbar_stress, "train", "kbar"),
    "forces of wrong sign": (flipped_forces, "train", "force"),
    "duplicates with other labels": (contradicting_duplicates, "train", "conflicting-labels"),
    "no energies": (no_energies, "train", "energ"),
    "labels under other names": (labels_under_other_names, "train", "dft_energy"),
    "mapped key absent": (mapped_key_absent, "train", "dft_energi"),
    "zero cell with pbc": (zero_cell, "train", "cell"),
    "truncated extxyz": (truncated, "train", "frame 19"),
    "empty file": (empty_file, "train", "train.extxyz"),
    "coincident atoms": (coincident_atoms, "train", "Å"),
    "isolated atoms only": (isolated_atoms_only, "train", "neighbours"),
    "pair cutoff of an absent element": (pair_of_unknown_element, "train", "'Cu-O' is not a pair"),
    "unknown element in the test set": (unknown_element_in_test, "train", "Al"),
    "learning rate far too large": (exploding, "train", "learning_rate"),
    "unknown element to evaluate": (unknown_element_in_evaluation, "evaluate", "Al"),
    "missing model": (missing_model, "info", "no such file"),
    "truncated model": (corrupt_model, "info", "damaged"),
    "model with a flipped bit": (flipped_byte, "info", "damaged"),
    "model of a future version": (future_model, "info", "newer equipot"),
    "text instead of a model": (not_a_model, "evaluate", "not a model file"),
    "data instead of a checkpoint": (not_a_checkpoint, "export", "not a checkpoint"),
}


def outcome(name: str, folder: Path) -> tuple[int, str]:
    """Exit code and the last line on stderr."""
    spoil, _, _ = CASES[name]
    case = Case(folder)
    spoil(case)
    case.write()
    arguments = case.arguments or ["train", str(folder / "config.yaml")]
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = main(arguments)
    return code, errors.getvalue().strip()


@pytest.mark.parametrize("name", list(CASES))
def test_one_sentence_and_a_non_zero_exit(name, tmp_path):
    code, message = outcome(name, tmp_path)
    _, command, expected = CASES[name]
    assert code == 1
    assert message.startswith(f"equipot {command}: ")
    assert expected in message
    assert len(message.splitlines()) == 1
    assert "Traceback" not in message


def test_the_unspoiled_case_trains(tmp_path):
    case = Case(tmp_path)
    case.write()
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", str(tmp_path / "config.yaml")]) == 0
    assert (tmp_path / "run" / "model.pt").exists()
    assert len(read(tmp_path / "train.extxyz", ":")) == 20


def test_bad_usage_exits_with_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--no-such-option"])
    assert stop.value.code == 2
    with pytest.raises(SystemExit) as stop:
        main(["fit"])
    assert stop.value.code == 2


if __name__ == "__main__":
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            code, message = outcome(name, Path(folder))
        sys.stdout.write(f"| {name} | {code} | {message.replace(folder + '/', '')} |\n")
