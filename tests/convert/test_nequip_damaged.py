"""Damaged, hostile and foreign files in place of nequip's: each ends with a sentence, and nothing in them runs."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from equipot.convert import nequip_inert
from equipot.convert.nequip import is_nequip, read_nequip
from equipot.errors import ModelFileError


def test_a_checkpoint_cut_short_ends_with_a_sentence(nequip_folder: Path, tmp_path: Path) -> None:
    data = (nequip_folder / "everything.ckpt").read_bytes()
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


def test_a_package_without_a_part_or_cut_short_ends_with_a_sentence(
    nequip_folder: Path, tmp_path: Path
) -> None:
    source = nequip_folder / "preset S, narrower.nequip.zip"

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


def test_flipped_bytes_of_a_packages_pickle_end_with_a_sentence_or_nothing_worse(
    nequip_folder: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(nequip_folder / "preset S, narrower.nequip.zip") as archive:
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
    return rf"refused, because it asks to load \S*{evil.call.__name__};"


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
    # torch.hub.load of a nequip_folder would run its hubconf.py; attributes of a module are reached by dots.
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
