"""NequIP's own models against what equipot reads from their files.

Models are built, trained for three steps and evaluated by nequip, in a process of the Python that the
environment variable EQUIPOT_NEQUIP_PYTHON names; nequip's results are the oracle. Damaged and hostile files need
no nequip.
"""

import copy
import dataclasses
import io
import json
import os
import pickle
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from equipot.calculators import EquipotCalculator
from equipot.convert import nequip_inert
from equipot.convert.nequip import is_nequip, read_nequip
from equipot.convert.pickles import read_checkpoint
from equipot.data.neighbours import neighbour_list
from equipot.derivatives import predict
from equipot.errors import ModelFileError
from equipot.export import write_model
from equipot.potential import Potential

NEQUIP = os.environ.get("EQUIPOT_NEQUIP_PYTHON")
needs_nequip = pytest.mark.skipif(
    not NEQUIP, reason="EQUIPOT_NEQUIP_PYTHON does not name a Python that has nequip"
)

TYPES = ["Si", "C"]
OPTIONS = {
    "_target_": "nequip.model.NequIPGNNModel",
    "seed": 5,
    "model_dtype": "float64",
    "type_names": TYPES,
    "r_max": 4.0,
    "num_layers": 2,
    "l_max": 1,
    "num_features": [8, 4],
    "parity": False,
    "type_embed_num_features": 6,
    "radial_mlp_width": 16,
    "avg_num_neighbors": 27.9,
    "per_type_energy_scales": {"Si": 0.9, "C": 1.3},
    "per_type_energy_shifts": {"Si": -1.5, "C": -2.5},
}
SHAPE = {
    "_target_": "nequip.model.PresetNequIPGNNModel",
    "type_embed_num_features": 5,
    "radial_mlp_width": 12,
}
ZBL = {"_target_": "nequip.nn.pair_potential.ZBL", "units": "metal", "chemical_species": TYPES}


def _options(**changes: Any) -> dict[str, Any]:
    return {**OPTIONS, **changes}


def _preset(name: str, features: list[int]) -> dict[str, Any]:
    left = {k: v for k, v in OPTIONS.items() if k not in ("num_layers", "l_max", "parity")}
    return {**left, **SHAPE, "preset": name, "num_features": features}


MODELS: dict[str, dict[str, Any]] = {
    "preset S, narrower": {"model": _preset("S", [12, 6]), "packaged": True},
    "preset M, narrower": {"model": _preset("M", [8, 4, 3])},
    "preset L, narrower": {"model": _preset("L", [6, 4, 3, 2])},
    "everything": {
        "model": _options(
            num_layers=3,
            l_max=2,
            parity=True,
            num_features=[6, 4, 3],
            radial_mlp_depth=2,
            num_bessels=6,
            bessel_trainable=True,
            per_type_energy_scales_trainable=True,
            per_type_energy_shifts_trainable=True,
            pair_potential=ZBL,
            # Not even the same both ways.
            per_edge_type_cutoff={"Si": {"C": 3.5}, "C": {"Si": 3.2, "C": 3.0}},
        ),
        "ema": True,
        "packaged": True,
    },
    "hidden readout": {
        "model": _options(
            readout_mlp_hidden_layers_depth=1,
            readout_mlp_hidden_layers_width=7,
            readout_mlp_nonlinearity="gelu",
            per_type_energy_scales=1.4,
            per_type_energy_shifts=None,
            polynomial_cutoff_p=5,
        ),
        "packaged": True,
    },
    "linear readout of two layers": {
        "model": _options(
            readout_mlp_hidden_layers_depth=1,
            readout_mlp_nonlinearity=None,
            avg_num_neighbors=0.5,
            radial_mlp_depth=0,
        ),
        "packaged": True,
    },
    "self-connection in the first layer": {
        "model": {
            **{
                k: v for k, v in OPTIONS.items() if k not in ("num_layers", "l_max", "num_features", "parity")
            },
            "_target_": "nequip.model.FullNequIPGNNModel",
            "radial_mlp_depth": [1, 1],
            "radial_mlp_width": [9, 9],
            "feature_irreps_hidden": ["4x1o + 3x0o + 8x0e + 2x2e", "5x0e"],
            "irreps_edge_sh": "0e + 1o + 2e",
            "learnable_shift": True,
        }
    },
    "input added to output": {
        "model": _options(num_layers=4, l_max=1, num_features=[6, 4], parity=True, convnet_resnet=True),
        "packaged": True,
    },
    "scalars added in all layers": {
        "model": _options(l_max=0, num_features=5, convnet_resnet=True),
    },
    "no self-connections": {
        "model": {
            **{
                k: v for k, v in OPTIONS.items() if k not in ("num_layers", "l_max", "num_features", "parity")
            },
            "_target_": "nequip.model.FullNequIPGNNModel",
            "radial_mlp_depth": [1, 1],
            "radial_mlp_width": [9, 9],
            "feature_irreps_hidden": ["8x0e + 4x1e", "5x0e"],
            "irreps_edge_sh": "0e + 1e",
            "convnet_sc": False,
        }
    },
    "single precision": {"model": _options(model_dtype="float32"), "packaged": True},
    "fine-tuned": {
        "model": {
            "_target_": "nequip.model.modify",
            "modifiers": [
                {"modifier": "modify_PerTypeScaleShift", "shifts": {"C": -3.0}, "shifts_trainable": True}
            ],
            "model": {
                "_target_": "nequip.model.ModelFromPackage",
                "package_path": "FOLDER/everything.nequip.zip",
                "compile_mode": "eager",
            },
        },
        "ema": True,
        "packaged": True,
    },
}
FILES = [f"{name}.ckpt" for name in MODELS] + [
    f"{name}.nequip.zip" for name, job in MODELS.items() if job.get("packaged")
]


def _structures() -> list[Atoms]:
    crystal = bulk("SiC", "zincblende", 4.4, cubic=True)
    crystal.rattle(0.2, seed=7)
    slab = bulk("SiC", "zincblende", 4.4, cubic=True)
    slab.rattle(0.1, seed=9)
    slab.pbc = [True, True, False]
    sheared = bulk("SiC", "zincblende", 4.2)
    sheared.set_cell(
        sheared.cell @ (np.eye(3) + 0.05 * np.random.default_rng(1).normal(size=(3, 3))), scale_atoms=True
    )
    cluster = Atoms("SiC2Si", positions=[[0, 0, 0], [1.7, 0.1, 0], [0.2, 1.9, 0.3], [1.1, 0.8, 2.1]])
    close = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 0.9]])
    tiny = Atoms("C", cell=[2.2, 2.3, 2.4], pbc=True)
    return [crystal, slab, sheared, cluster, close, tiny, Atoms("Si")]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the models' files and results."""
    assert NEQUIP is not None
    path = tmp_path_factory.mktemp("nequip")
    ase.io.write(path / "structures.traj", _structures())
    request = {
        "folder": str(path),
        "structures": str(path / "structures.traj"),
        "types": TYPES,
        "r_max": 4.0,
        "models": MODELS,
    }
    (path / "request.json").write_text(json.dumps(request).replace("FOLDER/", f"{path}/"))
    script = Path(__file__).with_name("nequip_models.py")
    done = subprocess.run(
        [NEQUIP, script, path / "request.json"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return path


def _results(potential: Potential, atoms: Atoms) -> dict[str, np.ndarray]:
    species = np.array([potential.type_names.index(s) for s in atoms.get_chemical_symbols()])
    edge_index, _, vectors = neighbour_list(
        atoms.positions,
        np.array(atoms.cell),
        atoms.pbc,
        potential.cutoff,
        species=species,
        pair_cutoffs=np.array(potential.spec.pair_cutoffs),
    )
    p = predict(potential, torch.from_numpy(species), torch.from_numpy(edge_index), torch.from_numpy(vectors))
    found = {"energy": p.energy[0].numpy(), "forces": p.forces.numpy()}
    if atoms.pbc.all():
        found["stress"] = -p.virial[0].numpy()[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / atoms.get_volume()
    return found


def _largest_difference(found: Callable[[Atoms], dict[str, np.ndarray]], file: Path) -> float:
    """To nequip's results, eV, eV/Å and eV/Å³, in units of the largest number of that kind or 1."""
    expected = np.load(file.parent / (file.name.split(".")[0] + ".npz"))
    worst = 0.0
    for i, atoms in enumerate(_structures()):
        for name, value in found(atoms).items():
            theirs = expected[f"{name}_{i}"]
            worst = max(worst, float(np.abs(value - theirs).max() / max(1.0, np.abs(theirs).max())))
    return worst


def _with_knots(potential: Potential, n_knots: int) -> Potential:
    changed = Potential(dataclasses.replace(potential.spec, n_knots=n_knots))
    changed.load_state_dict(potential.state_dict())
    return changed


@needs_nequip
@pytest.mark.parametrize("name", FILES)
def test_energies_forces_and_stresses_are_those_of_nequip(folder: Path, name: str) -> None:
    file = folder / name
    assert is_nequip(file)
    potential = read_nequip(file)
    # Rounding of single precision, then of the provisional splines, then of double precision.
    single = name.startswith("single")
    assert _largest_difference(lambda atoms: _results(potential, atoms), file) < (2e-6 if single else 1e-8)
    fine = _with_knots(potential, 2049)
    assert _largest_difference(lambda atoms: _results(fine, atoms), file) < (2e-6 if single else 1e-12)


@needs_nequip
def test_a_model_file_made_of_it_gives_the_same_in_ase(folder: Path, tmp_path: Path) -> None:
    file = folder / "everything.ckpt"
    write_model(tmp_path / "model.pt", _with_knots(read_nequip(file), 2049), training={})
    calculator = EquipotCalculator(tmp_path / "model.pt")

    def results(atoms: Atoms) -> dict[str, np.ndarray]:
        atoms.calc = calculator
        found = {"energy": np.array(atoms.get_potential_energy()), "forces": atoms.get_forces()}
        return {**found, "stress": atoms.get_stress()} if atoms.pbc.all() else found

    assert _largest_difference(results, file) < 1e-11


@needs_nequip
def test_the_weights_without_averaging_are_others(folder: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(folder / "everything.ckpt")
    state = checkpoint["state_dict"]
    checkpoint["state_dict"] = {k: v for k, v in state.items() if not k.startswith("ema.")}
    raw = tmp_path / "raw.ckpt"
    torch.save(checkpoint, raw)
    potential = read_nequip(raw)
    assert _largest_difference(lambda atoms: _results(potential, atoms), folder / "everything.ckpt") > 1e-4


@needs_nequip
def test_a_fine_tuned_checkpoint_says_which_package_it_misses(folder: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(folder / "fine-tuned.ckpt")
    checkpoint["hyper_parameters"]["model"]["model"]["package_path"] = str(tmp_path / "gone.nequip.zip")
    torch.save(checkpoint, tmp_path / "tuned.ckpt")
    with pytest.raises(ModelFileError, match=r"started from .*gone\.nequip\.zip"):
        read_nequip(tmp_path / "tuned.ckpt")


@needs_nequip
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"convnet_nonlinearity_type": "norm"}, "norm"),
        ({"convnet_nonlinearity_gates": {"e": "silu", "o": "abs"}}, "abs"),
        ({"categorical_graph_field_embed": [{"field": "charge"}]}, "categorical_graph_field_embed"),
        ({"pair_potential": {"_target_": "nequip.nn.pair_potential.LennardJones"}}, "LennardJones"),
        ({"pair_potential": {**ZBL, "polynomial_cutoff_p": 4.0}}, "exponent 4"),
        ({"avg_num_neighbors": {"Si": 20.0, "C": 30.0}}, "avg_num_neighbors"),
        ({"type_names": ["Si", "carbon"]}, "carbon"),
        ({"use_les": True}, "use_les"),
        ({"polynomial_cutoff_p": 4.5}, "4.5"),
        ({"l_max": 2, "num_features": [6, 4, 2]}, "weights"),
        ({"_target_": "allegro.model.AllegroModel"}, "allegro.model.AllegroModel"),
        ({"_target_": "nequip.model.ZBLPairPotential"}, "ZBLPairPotential"),
    ],
)
def test_what_equipot_does_not_have_is_named(
    folder: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    checkpoint = read_checkpoint(folder / "everything.ckpt")
    checkpoint["hyper_parameters"]["model"].update(copy.deepcopy(changes))
    torch.save(checkpoint, tmp_path / "changed.ckpt")
    with pytest.raises(ModelFileError, match=sentence):
        read_nequip(tmp_path / "changed.ckpt")


@needs_nequip
def test_checkpoints_of_nequip_before_0_7_are_refused(folder: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(folder / "hidden readout.ckpt")
    checkpoint["hyper_parameters"]["info_dict"]["versions"]["nequip"] = "0.6.2"
    torch.save(checkpoint, tmp_path / "changed.ckpt")
    with pytest.raises(ModelFileError, match=r"nequip 0\.6\.2; expected 0\.7 or newer"):
        read_nequip(tmp_path / "changed.ckpt")


@needs_nequip
def test_a_checkpoint_without_some_weights_names_them(folder: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(folder / "hidden readout.ckpt")
    name = next(k for k in checkpoint["state_dict"] if k.endswith("layer1_convnet.conv.linear_2.weight"))
    del checkpoint["state_dict"][name]
    torch.save(checkpoint, tmp_path / "changed.ckpt")
    with pytest.raises(ModelFileError, match=r"layer1_convnet\.conv\.linear_2\.weight"):
        read_nequip(tmp_path / "changed.ckpt")


@needs_nequip
def test_a_checkpoint_cut_short_ends_with_a_sentence(folder: Path, tmp_path: Path) -> None:
    data = (folder / "everything.ckpt").read_bytes()
    path = tmp_path / "cut.ckpt"
    for size in range(0, len(data), len(data) // 9):
        path.write_bytes(data[:size])
        assert not is_nequip(path)
        with pytest.raises(ModelFileError):
            read_nequip(path)


def _repacked(source: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return target


@needs_nequip
def test_a_package_without_a_part_or_cut_short_ends_with_a_sentence(folder: Path, tmp_path: Path) -> None:
    source = folder / "preset S, narrower.nequip.zip"

    def refused(path: Path) -> str:
        with pytest.raises(ModelFileError) as caught:
            read_nequip(path)
        return str(caught.value)

    def largest(name: str, data: bytes) -> bytes | None:
        return None if name.endswith("/40.storage") else data

    assert "40.storage" in refused(_repacked(source, tmp_path / "a.zip", largest))
    short = _repacked(source, tmp_path / "b.zip", lambda n, d: d[:4] if n.endswith("40.storage") else d)
    assert "storage 40" in refused(short)
    halved = _repacked(source, tmp_path / "c.zip", lambda n, d: d[: len(d) // 2] if n.endswith(".pkl") else d)
    assert "damaged" in refused(halved)
    big = _repacked(source, tmp_path / "d.zip", lambda n, d: b"big" if n.endswith("byteorder") else d)
    assert "big-endian" in refused(big)
    data = source.read_bytes()
    for size in range(0, len(data), len(data) // 9):
        cut = tmp_path / "cut.nequip.zip"
        cut.write_bytes(data[:size])
        assert not is_nequip(cut)
        refused(cut)


@needs_nequip
def test_flipped_bytes_of_a_packages_pickle_end_with_a_sentence_or_nothing_worse(
    folder: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(folder / "preset S, narrower.nequip.zip") as archive:
        name = next(n for n in archive.namelist() if n.endswith("eager_model.pkl"))
        good = archive.read(name)
    rng = np.random.default_rng(0)
    for turn in range(300):
        bad = bytearray(good)
        for at in rng.integers(0, len(good), size=1 + turn % 5):
            bad[at] = rng.integers(0, 256)
        path = tmp_path / "bad.pkl"
        path.write_bytes(bad)
        with path.open("rb") as file:
            try:
                nequip_inert.load(file, lambda pid: pid)
            except ModelFileError as error:
                assert "\n" not in str(error)  # noqa: PT017  one sentence


class _Evil:
    """Asks the reader to write a file when it is unpickled."""

    def __init__(self, marker: Path, call: Callable[..., Any]) -> None:
        self.marker, self.call = marker, call

    def __reduce__(self) -> tuple[Any, ...]:
        if self.call is os.system:
            return os.system, (f"touch '{self.marker}'",)
        return self.call, (f"open({str(self.marker)!r}, 'w')",)


@pytest.fixture(params=[os.system, eval, exec], ids=["os.system", "eval", "exec"])
def evil(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[_Evil]:
    yield _Evil(tmp_path / "ran", request.param)
    assert not (tmp_path / "ran").exists()


def _refusal(evil: _Evil) -> str:
    return rf"refused, because it asks for \S*{evil.call.__name__} "


def test_a_checkpoint_that_asks_for_code_to_be_run_is_refused_by_name(evil: _Evil, tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {"a": evil}, "hyper_parameters": {}}, path)
    assert not is_nequip(path)
    with pytest.raises(ModelFileError, match=_refusal(evil)):
        read_nequip(path)


def _package(path: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/model/eager_model.pkl", pickled)
        archive.writestr("m/model/package_metadata.txt", "package_version_id: 2\n")
        archive.writestr("m/nequip/__init__.py", "raise SystemExit('this ran')\n")
    return path


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_package_that_asks_for_code_to_be_run_is_refused_by_name(
    evil: _Evil, tmp_path: Path, protocol: int
) -> None:
    path = _package(tmp_path / "evil.nequip.zip", pickle.dumps({"a": evil}, protocol))
    assert is_nequip(path)
    with pytest.raises(ModelFileError, match=_refusal(evil)):
        read_nequip(path)


def test_names_of_torch_and_nequip_are_recorded_and_not_called(tmp_path: Path) -> None:
    # torch.hub.load of a folder would run its hubconf.py; attributes of a module are reached by dots.
    (tmp_path / "hubconf.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    calls = (
        b"\x80\x04\x8c\ttorch.hub\x8c\x04load\x93(\x8c"
        + bytes([len(str(tmp_path))])
        + str(tmp_path).encode()
        + b"\x8c\x03abctR\x8c\x05torch\x8c\tos.system\x93\x8c\x04truetR."
    )
    path = tmp_path / "calls.pkl"
    path.write_bytes(calls)
    with path.open("rb") as file, pytest.raises(ModelFileError):
        nequip_inert.load(file, lambda pid: pid)
    path.write_bytes(calls.replace(b"\x8c\x05torch\x8c\tos.system\x93\x8c\x04truetR", b""))
    with path.open("rb") as file:
        found = nequip_inert.load(file, lambda pid: pid)
    assert found.name == "torch.hub.load"
    assert found.arguments == (str(tmp_path), "abc")
    assert not (tmp_path / "ran").exists()


def test_getattr_names_a_function_of_torch_and_looks_nothing_up() -> None:
    # torch.tanh is pickled as getattr(torch._C._VariableFunctionsClass, "tanh").
    start = b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93"
    named = b"\x8c\x08torch._C\x8c\x01V\x93\x8c\x04tanh\x86R."
    found = nequip_inert.load(io.BytesIO(start + named), lambda pid: pid)
    assert found.name == "torch._C.V.tanh"
    for owner in (b"\x8c\x03abc", b"}", b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93"):
        with pytest.raises(ModelFileError, match="asks for an attribute"):
            nequip_inert.load(io.BytesIO(start + owner + b"\x8c\x09__class__\x86R."), lambda pid: pid)


def test_a_record_cannot_be_made_to_change_its_class() -> None:
    before = dict(vars(nequip_inert.Record))
    # BUILD on the class itself, with a dictionary and with slots.
    for state in (b"}\x8c\x04name\x8c\x03bads", b"N}\x8c\x04name\x8c\x03bads\x86"):
        data = b"\x80\x04\x8c\x05torch\x8c\x01A\x93" + state + b"b."
        file = io.BytesIO(data)
        with pytest.raises(ModelFileError, match="damaged"):
            nequip_inert.load(file, lambda pid: pid)
    assert dict(vars(nequip_inert.Record)) == before


def test_torchscript_in_a_package_is_refused(tmp_path: Path) -> None:
    class Script:
        pass

    class Writer(pickle.Pickler):
        def persistent_id(self, thing: Any) -> Any:
            return ("reduce_package", "0") if isinstance(thing, Script) else None

    file = tmp_path / "a.pkl"
    with file.open("wb") as out:
        Writer(out, 2).dump({"a": Script()})
    path = _package(tmp_path / "m.nequip.zip", file.read_bytes())
    with pytest.raises(ModelFileError, match="reduce_package"):
        read_nequip(path)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut", b"\x80\x02}q\x00."])
def test_other_files_are_not_nequips(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.nequip.zip"
    path.write_bytes(content)
    assert not is_nequip(path)
    with pytest.raises(ModelFileError):
        read_nequip(path)


def test_a_zip_file_without_a_network_is_not_nequips(tmp_path: Path) -> None:
    path = tmp_path / "file.nequip.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/model/package_metadata.txt", "package_version_id: 2\n")
    assert not is_nequip(path)


def test_a_compiled_model_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "model.nequip.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/code/__torch__/nequip/nn/graph_model.py", "")
    assert is_nequip(path)
    with pytest.raises(ModelFileError, match="compiled"):
        read_nequip(path)
