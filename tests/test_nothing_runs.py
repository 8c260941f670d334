"""Whatever is loaded, nothing in it is run: hostile files for every loader of the project.

A hostile file would leave a mark on the disk when its code ran; that they do when Python's own pickle reads them is
tested too.
"""

import codecs
import contextlib
import gzip
import importlib
import io
import os
import pickle
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk

from equipot.calculators import EquipotCalculator
from equipot.cli.main import main
from equipot.config_file import load_config
from equipot.convert import convert
from equipot.convert.pickles import read_checkpoint as read_foreign_checkpoint
from equipot.data.store import GraphStore
from equipot.errors import EquipotError
from equipot.model_file import load_model, load_potential, read_metadata, write_model
from equipot.neighbours import PairCutoffs
from equipot.species import SpeciesMap
from equipot.structures.reading import read_frames
from equipot.training.checkpoints import read_checkpoint
from tests.models import make_potential

GOLDEN = Path(__file__).parent / "convert" / "data" / "nequix" / "norm, one skip for all.nqx"


class Call:
    """Pickled, it asks for a function to be called."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


class Builder:
    """Pickled, it asks for its state to be set, which leaves the mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __setstate__(self, state: dict[str, Any]) -> None:
        state["mark"].touch()


def payloads(mark: Path) -> dict[str, tuple[Any, str]]:
    """What leaves the mark when it is unpickled, and a word of the name that it asks for."""
    shell = f"touch '{mark}'"
    python = f"open({str(mark)!r}, 'w').close()"
    objects = np.empty(2, dtype=object)
    objects[:] = [1.0, Call(os.system, shell)]
    return {
        "os.system": (Call(os.system, shell), "system"),
        "eval": (Call(eval, python), "eval"),
        "exec": (Call(exec, python), "exec"),
        "a process": (Call(subprocess.check_call, ["touch", str(mark)]), "check_call"),
        "a method of a path": (Call(Path.touch, mark), "getattr"),
        "state of a class of its own": (Builder(mark), "Builder"),
        "an object array that carries one": (objects, "system"),
        "a loader that is less careful": (Call(pickle.loads, pickle.dumps(Call(os.system, shell))), "loads"),
        "in the state of an ordered dict": (
            {"state_dict": torch.nn.ParameterDict(), "hook": Call(os.system, shell)},
            "ParameterDict",
        ),
    }


def bare(payload: Any, protocol: int) -> bytes:
    return pickle.dumps({"config": {"cutoff": payload}, "model_state_dict": {}}, protocol=protocol)


def zipped(payload: Any, new: bool = True) -> bytes:
    """As `torch.save` writes it, today's way or that of torch before 1.6."""
    file = io.BytesIO()
    torch.save(
        {"config": {"cutoff": payload}, "model_state_dict": {"x": torch.zeros(3)}},
        file,
        _use_new_zipfile_serialization=new,
    )
    return file.getvalue()


def tarred(payload: Any) -> bytes:
    """As torch of 2016 wrote it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(
                {"protocol_version": 1000, "little_endian": True, "x": payload}, protocol=2
            )
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def package(payload: Any) -> bytes:
    """As nequip-package writes it, with a pickle that would be run by `torch.package`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/model/eager_model.pkl", pickle.dumps(payload, protocol=2))
        archive.writestr("model/byteorder", "little")
        archive.writestr("model/.data/version", "6")
    return file.getvalue()


def nequix_file(payload: Any) -> bytes:
    """As Nequix writes it, with an array of objects in place of numbers."""
    line = GOLDEN.read_bytes().split(b"\n", 1)[0]
    objects, array = np.array([payload] * 3 + [None], dtype=object)[:3], io.BytesIO()
    np.save(array, objects, allow_pickle=True)
    return line + b"\n" + array.getvalue()


WRAPPINGS: dict[str, Callable[[Any], bytes]] = {
    "protocol 0": lambda x: bare(x, 0),
    "protocol 2": lambda x: bare(x, 2),
    "protocol 5": lambda x: bare(x, 5),
    "compressed": lambda x: gzip.compress(bare(x, 2)),
    "zip": zipped,
    "legacy": lambda x: zipped(x, new=False),
    "tar": tarred,
    "nequip package": package,
    "nequix file": nequix_file,
}
# All but the wrappings that only some reader unpacks.
PAYLOADS = list(payloads(Path("mark")))


def hostile_model(folder: Path, payload: Any, member: str) -> Path:
    """A model file of which one pickle is another one."""
    good = write_model(folder / "good.pt", make_potential(), verify=False)
    path = folder / "hostile.pt"
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, pickle.dumps(payload, protocol=2) if name.endswith(member) else content)
    return path


def in_one_line(arguments: list[str]) -> str:
    """What the command line says on stderr; it must end with exit code 1."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        assert main(arguments) == 1
    message = errors.getvalue().strip()
    assert len(message.splitlines()) == 1, message
    assert message.startswith(f"equipot {arguments[0]}: ")
    return message


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.mark.parametrize("what", PAYLOADS)
def test_the_traps_are_real(mark: Path, what: str) -> None:
    payload, _ = payloads(mark)[what]
    pickle.loads(pickle.dumps(payload))
    assert mark.exists()


READERS: dict[str, Callable[[Path], Any]] = {
    "model file": load_model,
    "metadata": read_metadata,
    "potential": load_potential,
    "calculator": EquipotCalculator,
    "training checkpoint": read_checkpoint,
    "foreign checkpoint": read_foreign_checkpoint,
    "conversion": lambda path: convert(path, path.with_name("out.pt")),
    "labelled structures": lambda path: read_frames([str(path)]),
    "config": load_config,
    "graph store": GraphStore,
}


@pytest.mark.parametrize("wrapping", list(WRAPPINGS))
@pytest.mark.parametrize("reader", list(READERS))
def test_no_reader_runs_a_pickle(tmp_path: Path, mark: Path, reader: str, wrapping: str) -> None:
    for k, (payload, _) in enumerate(payloads(mark).values()):
        path = tmp_path / f"hostile{k}.pt"
        path.write_bytes(WRAPPINGS[wrapping](payload))
        with pytest.raises(EquipotError) as refusal:
            READERS[reader](path)
        assert "\n" not in str(refusal.value)
        assert not mark.exists()


@pytest.mark.parametrize("member", ["/data.pkl", "/constants.pkl"])
@pytest.mark.parametrize("what", PAYLOADS)
def test_no_pickle_inside_a_model_file_is_run(tmp_path: Path, mark: Path, what: str, member: str) -> None:
    path = hostile_model(tmp_path, payloads(mark)[what][0], member)
    loaded = load_model(path)  # the runtime does not read the TorchScript
    EquipotCalculator(loaded)
    assert not mark.exists()
    in_torch = partial(EquipotCalculator, engine="torch")
    for read in (lambda _: loaded.module, load_potential, in_torch, read_checkpoint, READERS["conversion"]):
        with pytest.raises(EquipotError):
            read(path)
        assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    ["x.pkl", "x.traj", "x.trj", "x.npz", "x.npy", "x.json", "x.db", "x.extxyz", "x.xyz", "x.cif", "x.bin"],
)
def test_no_name_makes_a_pickle_of_structures_run(tmp_path: Path, mark: Path, name: str) -> None:
    payload, _ = payloads(mark)["os.system"]
    for content in (
        pickle.dumps(payload, 2),
        b"PickleTrajectory" + pickle.dumps(payload, 2),
        zipped(payload),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EquipotError):
            read_frames([str(tmp_path / name)])
        assert not mark.exists()


def test_pickled_arrays_are_not_taken_for_structures(tmp_path: Path, mark: Path) -> None:
    objects, _ = payloads(mark)["an object array that carries one"]
    np.save(tmp_path / "x.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "x.npz", positions=objects)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(EquipotError):
            read_frames([str(tmp_path / name)])
        assert not mark.exists()


def test_a_json_of_structures_builds_nothing_but_structures(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "x.json", bulk("Cu"))
    text = (tmp_path / "x.json").read_text()
    named = '{"__ase_objtype__": "os.system", "command": "true"}'
    (tmp_path / "x.json").write_text(
        text.replace('"unique_id"', f'"key_value_pairs": {named}, "unique_id"', 1)
    )
    with pytest.raises(EquipotError):
        read_frames([str(tmp_path / "x.json")])


def test_a_graph_store_with_a_pickled_index_is_refused(tmp_path: Path, mark: Path) -> None:
    folder = tmp_path / "store"
    GraphStore.build(folder, [], SpeciesMap(["Cu"]), PairCutoffs.from_config(["Cu"], 3.0))
    np.save(folder / "index.npy", payloads(mark)["an object array that carries one"][0], allow_pickle=True)
    with pytest.raises(EquipotError, match="index cannot be read"):
        GraphStore(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/object/new:os.system", "!!python/name:os.system"]
)
def test_a_config_cannot_name_python(tmp_path: Path, mark: Path, tag: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"data:\n  train: x.extxyz\noutput: {tag} [\"touch '{mark}'\"]\n")
    with pytest.raises(EquipotError):
        load_config(path)
    assert "config.yaml" in in_one_line(["train", str(path)])
    path.write_text("data:\n  train: x.extxyz\n")
    in_one_line(["train", str(path), f"output={tag} [\"touch '{mark}'\"]"])
    assert not mark.exists()


COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "info": lambda file, folder: ["info", str(file)],
    "export": lambda file, folder: ["export", str(file), "-o", str(folder / "out.pt")],
    "convert": lambda file, folder: ["convert", str(file), "-o", str(folder / "out.pt")],
    "check": lambda file, folder: ["check", str(file)],
    "benchmark": lambda file, folder: ["benchmark", str(file), "--atoms", "8"],
    "evaluate a model": lambda file, folder: ["evaluate", str(file), str(file), "-o", str(folder / "out")],
}


@pytest.mark.parametrize("wrapping", ["protocol 2", "zip"])
@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_refuses_in_one_line(tmp_path: Path, mark: Path, command: str, wrapping: str) -> None:
    path = tmp_path / "hostile.pt"
    path.write_bytes(WRAPPINGS[wrapping](payloads(mark)["os.system"][0]))
    assert str(path) in in_one_line(COMMANDS[command](path, tmp_path))
    assert not mark.exists()
    assert not (tmp_path / "out.pt").exists()


def test_nothing_of_another_package_is_imported_by_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickle that only names a module would have it imported, which runs the module."""
    module = tmp_path / "a_module_of_theirs.py"
    module.write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    # The opcodes of a pickle that names a global and does nothing with it.
    content = b"\x80\x02ca_module_of_theirs\nthing\n."
    for name, data in {"bare": content, "package": None}.items():
        path = tmp_path / f"{name}.pt"
        if data is None:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("model/model/eager_model.pkl", content)
        else:
            path.write_bytes(data)
        with pytest.raises(EquipotError):
            convert(path, tmp_path / "out.pt")


def test_bytes_are_rebuilt_by_the_codec_alone() -> None:
    """The one function of Python's that such files may call: text to bytes, as old protocols keep bytes."""
    assert pickle.loads(pickle.dumps(b"\xff\x00", protocol=2)) == codecs.encode("\xff\x00", "latin1")
