"""Nequix's own models against what equipot reads from their files, and files that are damaged or hostile.

Models are built, saved and evaluated by Nequix, in a process of the Python that the environment variable
EQUIPOT_NEQUIX_PYTHON names; its results in float64 are the oracle. tests/convert/data has some of them.
"""

import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from equipot.calculators import EquipotCalculator, universal
from equipot.convert import convert
from equipot.convert.nequix import is_nequix, read_nequix
from equipot.errors import ModelFileError
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from equipot.network.variants import with_elements, with_knots
from tests.models import model_input

NEQUIX = os.environ.get("EQUIPOT_NEQUIX_PYTHON")
GOLDEN = Path(__file__).with_name("data") / "nequix"
NUMBERS = [14, 6, 1]  # Nequix sorts them
BASE = {
    "cutoff": 4.0,
    "hidden_irreps": "6x0e + 4x1o + 3x2e",
    "lmax": 2,
    "n_layers": 3,
    "radial_basis_size": 8,
    "radial_mlp_size": 8,
    "radial_mlp_layers": 2,
    "radial_polynomial_p": 6.0,
    "mlp_init_scale": 4.0,
    "index_weights": False,
    "layer_norm": True,
    "shift": -1.25,
    "scale": 1.75,
    "avg_n_neighbors": 27.5,
}
MODELS: dict[str, dict[str, Any]] = {
    "norm, one skip for all": BASE,
    "no norm, skips by species": {**BASE, "layer_norm": False, "index_weights": True},
    "norm, skips by species, l up to 3": {
        **BASE,
        "hidden_irreps": "5x0e + 3x1o + 2x2e + 2x3o",
        "lmax": 3,
        "n_layers": 2,
        "index_weights": True,
    },
    "no norm, one skip for all": {**BASE, "layer_norm": False},
    "edges of higher l, irreps in another order": {**BASE, "hidden_irreps": "4x1o + 5x0e", "lmax": 3},
    "irreps with a gap": {**BASE, "hidden_irreps": "4x0e + 3x2e", "lmax": 2},
    "one layer": {**BASE, "n_layers": 1},
    "scalars alone": {**BASE, "hidden_irreps": "7x0e", "lmax": 0},
    "no hidden radial layer, few neighbours": {**BASE, "radial_mlp_layers": 0, "avg_n_neighbors": 0.4},
    "another basis": {**BASE, "radial_basis_size": 5, "radial_polynomial_p": 2.0, "cutoff": 3.5},
}
KEPT = list(MODELS)[:3]  # in tests/convert/data


def structures() -> list[Atoms]:
    crystal = bulk("SiC", "zincblende", 4.4, cubic=True)
    crystal.rattle(0.2, seed=7)
    slab = bulk("SiC", "zincblende", 4.4, cubic=True)
    slab.symbols[3] = "H"
    slab.rattle(0.1, seed=9)
    slab.pbc = [True, True, False]
    cluster = Atoms("SiC2HSi", [[0, 0, 0], [1.7, 0.1, 0], [0.2, 1.9, 0.3], [2.6, 0.8, 0.1], [1.1, 0.8, 2.1]])
    tiny = Atoms("C", cell=[[2.2, 0.1, 0], [0, 2.3, 0.3], [0, 0, 2.4]], pbc=True)
    far = Atoms("SiH", [[0, 0, 0], [0, 0, 3.97]])
    return [crystal, slab, cluster, tiny, far, Atoms("Si"), Atoms("H", cell=[9, 9, 9], pbc=True)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the models' files and results."""
    if not NEQUIX:
        pytest.skip("EQUIPOT_NEQUIX_PYTHON does not name a Python that has nequix")
    path = tmp_path_factory.mktemp("nequix")
    ase.io.write(path / "structures.traj", structures())
    request = {
        "folder": str(path),
        "structures": str(path / "structures.traj"),
        "numbers": NUMBERS,
        "models": MODELS,
    }
    (path / "request.json").write_text(json.dumps(request))
    script = Path(__file__).with_name("nequix_models.py")
    done = subprocess.run(
        [NEQUIX, script, path / "request.json"], capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return path


def results(potential: Potential, atoms: Atoms) -> dict[str, np.ndarray]:
    p = predict(potential, model_input(potential, atoms))
    own = {"energy": p.energy[0].numpy(), "forces": p.forces.numpy()}
    if atoms.pbc.all():
        own["stress"] = -p.virial[0].numpy()[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / atoms.get_volume()
    return own


def largest_difference(potential: Potential, oracle: Path) -> float:
    """To Nequix's results, eV, eV/Å and eV/Å³, in units of the largest number of that kind or 1."""
    expected, worst = np.load(oracle), 0.0
    for i, atoms in enumerate(structures()):
        for name, value in results(potential, atoms).items():
            theirs = expected[f"{name}_{i}"]
            worst = max(worst, float(np.abs(value - theirs).max() / max(1.0, np.abs(theirs).max())))
    return worst


def fine(potential: Potential) -> Potential:
    """With splines so fine that they are the radial networks."""
    return with_knots(potential, 3, 2000)


@pytest.mark.parametrize("name", list(MODELS))
def test_energies_forces_and_stresses_are_those_of_nequix(folder: Path, name: str) -> None:
    assert is_nequix(folder / f"{name}.nqx")
    # Rounding of double precision and of the fine spline.
    assert largest_difference(fine(read_nequix(folder / f"{name}.nqx")), folder / f"{name}.npz") < 1e-10


def golden(name: str) -> Path:
    return GOLDEN / f"{name}.nqx"


@pytest.mark.parametrize("name", KEPT)
def test_a_model_has_the_numbers_that_nequix_0_4_5_gave(name: str) -> None:
    assert largest_difference(fine(read_nequix(golden(name))), golden(name).with_suffix(".npz")) < 1e-10


@pytest.mark.parametrize("name", KEPT)
def test_fewer_elements_leave_the_energies_of_the_others(name: str) -> None:
    whole = read_nequix(golden(name))
    part = with_elements(whole, ["H", "Si"])
    assert part.type_names == ["H", "Si"]
    atoms = structures()[4]
    for name, value in results(part, atoms).items():
        np.testing.assert_allclose(value, results(whole, atoms)[name], rtol=0, atol=1e-12)


def test_converted_files_keep_the_tolerance_in_ase(tmp_path: Path) -> None:
    done = convert(golden(KEPT[0]), tmp_path / "model.pt", dtype="float64")
    assert done.origin["package"] == "nequix"
    calculator, expected = EquipotCalculator(done.path), np.load(golden(KEPT[0]).with_suffix(".npz"))
    for i, atoms in enumerate(structures()):
        atoms.calc = calculator
        assert np.abs(atoms.get_forces() - expected[f"forces_{i}"]).max() < 1e-5
        assert abs(atoms.get_potential_energy() - expected[f"energy_{i}"]) < 1e-5 * len(atoms)


def test_a_published_model_is_a_calculator_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / ".cache" / "nequix" / "models" / "nequix-oam-1-pft.nqx"
    file.parent.mkdir(parents=True)
    file.write_bytes(golden(KEPT[0]).read_bytes())
    atoms, expected = structures()[0], np.load(golden(KEPT[0]).with_suffix(".npz"))
    for model in ("nequix-oam-1-pft", file):
        atoms.calc = universal(model, dtype="float64")
        np.testing.assert_allclose(atoms.get_forces(), expected["forces_0"], rtol=0, atol=1e-5)


def test_a_modality_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="Nequix models have none; leave --modality out"):
        convert(golden(KEPT[0]), tmp_path / "model.pt", modality="PBE")


# Files that are damaged, hostile or another network's: what is changed, and what the sentence must say.


def _config(**changes: Any) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        line, rest = content.split(b"\n", 1)
        config = {**json.loads(line), **changes}
        return json.dumps({k: v for k, v in config.items() if v != "gone"}).encode() + b"\n" + rest

    return change


def _first_array(array: np.ndarray, **options: Any) -> Callable[[bytes], bytes]:
    """In place of atom_energies."""

    def change(content: bytes) -> bytes:
        line, rest = content.split(b"\n", 1)
        old, new = io.BytesIO(rest), io.BytesIO()
        np.load(old)
        np.save(new, array, **options)
        return line + b"\n" + new.getvalue() + old.read()

    return change


def _replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        line, rest = content.split(b"\n", 1)
        assert old in rest
        assert len(old) == len(new)
        return line + b"\n" + rest.replace(old, new, 1)

    return change


DAMAGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda content: b"", "its first line does not end"),
    "no JSON": (lambda content: b"{x" + content[2:], "its first line is no JSON"),
    "not text": (lambda content: b"{\xff\n" + content, "its first line is no JSON"),
    "deep": (lambda content: b"[" * 100_000 + b"\n", "its first line is no JSON"),
    "a list": (lambda content: b"[1]\n" + content, "holds a list; expected a JSON object"),
    "no arrays": (lambda content: content.split(b"\n", 1)[0] + b"\n", "the file ends before atom_energies"),
    "cut in an array": (lambda content: content[:-10], "the file ends in the readout of 0e"),
    "cut in a header": (lambda content: content[:-100], "is no array of numpy's"),
    "more arrays": (lambda content: content + b"\x93NUMPY", "6 bytes follow its last array"),
    "another magic": (_replaced(b"\x93NUMPY", b"\x93NUMPX"), "atom_energies is no array of numpy's"),
    "a huge shape": (_replaced(b"(3,), }".ljust(16), b"(3000000000,), }"), "atom_energies"),
    "a pickle": (
        _first_array(np.array([print] * 3), allow_pickle=True),
        "holds Python objects, which can run code; expected floating-point numbers",
    ),
    "integers": (_first_array(np.arange(3)), "numbers of type int64; expected floating-point numbers"),
    "not finite": (
        _first_array(np.array([1.0, np.nan, 2.0])),
        "atom_energies holds a number that is not finite",
    ),
    "other elements": (
        _config(atomic_numbers=[1, 6]),
        r"atom_energies has the shape \(3,\); its config says \(2,\)",
    ),
    "an element twice": (_config(atomic_numbers=[1, 6, 6]), "expected a list of different atomic numbers"),
    "no element": (_config(atomic_numbers=[1, 6, 1000]), "expected a list of different atomic numbers"),
    "no cutoff": (_config(cutoff="gone"), "its config has no cutoff"),
    "a cutoff of zero": (_config(cutoff=0), "cutoff is 0; expected a number above 0.1"),
    "an infinite scale": (_config(scale=float("inf")), "scale is inf; expected a number"),
    "a scale of many digits": (_config(scale=10**400), "scale is 10000.*; expected a number"),
    "a word for a number": (_config(shift="low\nvery"), "shift is low very; expected a number"),
    "a number for a choice": (_config(layer_norm=1), "layer_norm is 1; expected true or false"),
    "many layers": (_config(n_layers=10**9), "layer 2, radial_mlp 2 has the shape"),
    "a huge integer": (_config(radial_mlp_size=10**30), "radial_mlp 0 has the shape"),
    "wide irreps": (_config(hidden_irreps=f"{10**30}x0e"), "has the shape"),
    "high l": (_config(lmax=5), "lmax is 5; expected a whole number, 0 to 4"),
    "low l": (_config(lmax=1), "hidden_irreps is .*, but lmax is 1"),
    "odd scalars": (_config(hidden_irreps="6x0e + 4x0o"), "expected 0e and some of 1o, 2e"),
    "no scalars": (_config(hidden_irreps="6x1o"), "expected 0e and some of 1o, 2e"),
    "no irreps": (_config(hidden_irreps=["6x0e"]), "expected 0e and some of 1o, 2e"),
    "a broken exponent": (_config(radial_polynomial_p=2.5), "expected a whole number from 2 to 100"),
    "no norm": (_config(layer_norm=False), "has the shape"),
}


@pytest.mark.parametrize("what", list(DAMAGED))
def test_a_file_that_is_damaged_or_another_networks_is_one_sentence(tmp_path: Path, what: str) -> None:
    change, sentence = DAMAGED[what]
    path = tmp_path / "model.nqx"
    path.write_bytes(change(golden(KEPT[0]).read_bytes()))
    with pytest.raises(ModelFileError, match=sentence) as refusal:
        convert(path, tmp_path / "out.pt")
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_forces_beyond_all_measure_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "model.nqx"
    path.write_bytes(_config(scale=1e25)(golden(KEPT[0]).read_bytes()))
    with pytest.raises(ModelFileError, match="forces above 100 eV/Å in every structure"):
        convert(path, tmp_path / "out.pt")


def test_no_cut_of_a_file_ends_in_anything_but_a_sentence(tmp_path: Path) -> None:
    content, path = golden(KEPT[0]).read_bytes(), tmp_path / "model.nqx"
    for size in np.linspace(0, len(content) - 1, 97).astype(int):
        path.write_bytes(content[:size])
        with pytest.raises(ModelFileError):
            read_nequix(path)


def test_a_line_end_after_the_last_array_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "model.nqx"
    path.write_bytes(golden(KEPT[0]).read_bytes() + b"\n")
    torch.testing.assert_close(read_nequix(path).state_dict(), read_nequix(golden(KEPT[0])).state_dict())
