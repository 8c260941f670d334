"""Foreign checkpoints: what they hold is read, what they ask to be run is named and not run."""

import io
import os
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from equipot.convert.pickles import read_checkpoint
from equipot.errors import ModelFileError
from equipot.model_file import torchscript
from tests.test_nothing_runs import WRAPPINGS, in_one_line, payloads, zipped

# Those in which torch looks at the pickle, and so knows the name.
NAMED = ["protocol 2", "zip", "legacy"]


ARRAY = "an object array that carries one"


def _refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as found:
        read_checkpoint(path)
    message = str(found.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("wrapping", NAMED)
@pytest.mark.parametrize("what", [name for name in payloads(Path("mark")) if name != ARRAY])
def test_what_asks_for_code_is_refused_by_name_and_not_run(tmp_path: Path, what: str, wrapping: str) -> None:
    mark = tmp_path / "mark"
    payload, name = payloads(mark)[what]
    path = tmp_path / "hostile.pth"
    path.write_bytes(WRAPPINGS[wrapping](payload))
    message = _refusal(path)
    assert "refused, because it asks to load" in message
    assert name in message
    assert not mark.exists()
    assert name in in_one_line(["convert", str(path), "-o", str(tmp_path / "out.pt")])
    assert not mark.exists()
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize("wrapping", NAMED)
def test_arrays_of_objects_are_refused_by_their_type(tmp_path: Path, wrapping: str) -> None:
    path = tmp_path / "hostile.pth"
    path.write_bytes(WRAPPINGS[wrapping](payloads(tmp_path / "mark")[ARRAY][0]))
    message = _refusal(path)
    assert "expected numbers" in message


def test_everything_that_checkpoints_hold_is_read(tmp_path: Path) -> None:
    found = {
        "model_state_dict": OrderedDict(
            weight=torch.randn(3, 2), double=torch.randn(2, dtype=torch.float64), index=torch.arange(4)
        ),
        "config": {
            "shift": np.linspace(0, 1, 5),
            "scale": np.float64(1.5),
            "single": np.float32(0.25),
            "count": np.int64(7),
            "flag": np.bool_(True),
            "map": {1: 0, 8: 1},
            "device": torch.device("cpu"),
            "names": ["H", "O"],
            "tuple": (1, None, 2.5, "x", b"\x00\xff"),
            "set": {1, 2},
        },
        "epoch": 3,
    }
    for new in (True, False):
        torch.save(found, tmp_path / "x.pth", _use_new_zipfile_serialization=new)
        read = read_checkpoint(tmp_path / "x.pth")
        for name, value in found["model_state_dict"].items():  # type: ignore[attr-defined]
            torch.testing.assert_close(read["model_state_dict"][name], value, rtol=0, atol=0)
        np.testing.assert_array_equal(read["config"]["shift"], found["config"]["shift"])  # type: ignore[index]
        for name, value in found["config"].items():  # type: ignore[attr-defined]
            if name != "shift":
                assert read["config"][name] == value


def _cut(path: Path) -> None:
    path.write_bytes(zipped(1.0)[:-300])


def _cut_legacy(path: Path) -> None:
    path.write_bytes(zipped(1.0, new=False)[:-20])


def _without_numbers(path: Path) -> None:
    """A zip file whose pickle speaks of a storage that is not there."""
    with zipfile.ZipFile(io.BytesIO(zipped(1.0))) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if "/data/" not in name:
                target.writestr(name, source.read(name))


NOT_CHECKPOINTS: dict[str, Any] = {
    "an empty file": lambda path: path.write_bytes(b""),
    "a zip file cut short": _cut,
    "a legacy file cut short": _cut_legacy,
    "a zip file without its numbers": _without_numbers,
    "another zip file": lambda path: zipfile.ZipFile(path, "w").close(),
    "text": lambda path: path.write_text("Lattice=...\n" * 40),
    "noise": lambda path: path.write_bytes(np.random.default_rng(1).bytes(3000)),
    "a folder": lambda path: path.mkdir(),
    "a list": lambda path: torch.save([1, 2], path),
    "a tensor": lambda path: torch.save(torch.zeros(2), path),
    "a program": lambda path: torchscript.script(torch.nn.ReLU()).save(str(path)),
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("what", list(NOT_CHECKPOINTS))
def test_what_is_no_checkpoint_ends_in_one_sentence_and_exit_code_1(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.pth"
    NOT_CHECKPOINTS[what](path)
    _refusal(path)
    message = in_one_line(["convert", str(path), "-o", str(tmp_path / "out.pt")])
    assert str(path) in message
    assert not (tmp_path / "out.pt").exists()


def test_a_checkpoint_of_something_else_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"weights": torch.zeros(2), "history": [1, 2]}, tmp_path / "x.pth")
    message = in_one_line(["convert", str(tmp_path / "x.pth"), "-o", str(tmp_path / "out.pt")])
    assert "neither a model of SevenNet nor of NequIP or Nequix; it holds weights, history" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(zipped(1.0))
    path.chmod(0)
    assert "cannot be read" in _refusal(path)


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _array(dtype: bytes, content: bytes, count: int) -> bytes:
    """Opcodes that rebuild an array of so many numbers of a type from bytes, as numpy pickles them."""

    def raw(data: bytes) -> bytes:
        return b"c_codecs\nencode\n(" + _text(data.decode("latin1")) + _text("latin1") + b"tR"

    start = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + _number(0) + b"t" + raw(b"b") + b"tR"
    )
    return start + b"(" + _number(1) + b"(" + _number(count) + b"t" + dtype + b"\x89" + raw(content) + b"tb"


def _dtype(kind: str, flags: int | None = None, of: str | None = None) -> bytes:
    """Opcodes of a type of numbers, and what its state then says of it: flags, and pairs of another type."""
    made = b"cnumpy\ndtype\n(" + _text(kind) + b"\x89\x88tR"
    if flags is None:
        return made
    part = b"N" if of is None else b"(cnumpy\ndtype\n(" + _text(of) + b"\x89\x88tR(" + _number(2) + b"tt"
    size = _number(-1 if of is None else 8)
    return made + b"(" + _number(3) + _text("<") + part + b"NN" + size + size + _number(flags) + b"tb"


def _written(path: Path, opcodes: bytes) -> Path:
    """A checkpoint of SevenNet whose version is what the opcodes make."""
    config = b"}" + _text("_type_map") + b"}s" + _text("version") + opcodes + b"s"
    mine = b"\x80\x02}" + _text("model_state_dict") + b"}s" + _text("config") + config + b"s."
    with zipfile.ZipFile(io.BytesIO(zipped(1.0))) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, mine if name.endswith("/data.pkl") else source.read(name))
    return path


def test_the_opcodes_of_these_tests_rebuild_an_array(tmp_path: Path) -> None:
    values = np.array([1.5, -2.25])
    found = read_checkpoint(_written(tmp_path / "x.pth", _array(_dtype("f8", 0), values.tobytes(), 2)))
    np.testing.assert_array_equal(found["config"]["version"], values)


ADDRESSES = b"A" * 4000  # where objects would be, if numbers were taken for them
FORGED = {
    "flags of objects": _array(_dtype("f8", 1), ADDRESSES, 500),
    "all flags": _array(_dtype("f8", 63), ADDRESSES, 500),
    "pairs of objects": _array(_dtype("i4", 0, "O"), ADDRESSES, 1000),
    "pairs of objects, with flags": _array(_dtype("i4", 1, "O"), ADDRESSES, 1000),
    "objects in bytes": _array(_dtype("O"), ADDRESSES, 500),
}


def _converted(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "equipot.cli.main", "convert", path, "-o", path.with_name("out.pt")]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("what", list(FORGED))
def test_numbers_are_never_taken_for_objects(tmp_path: Path, what: str) -> None:
    """The state of numpy's types can be forged; an array of addresses would be a way into the program."""
    done = _converted(_written(tmp_path / "x.pth", FORGED[what]))
    assert done.returncode == 1  # and not a signal
    assert done.stderr.startswith("equipot convert: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", ["a program", "protocol 5"])
def test_the_command_says_one_line_and_nothing_of_torchs(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.pth"
    if kind == "a program":
        NOT_CHECKPOINTS[kind](path)
    else:
        path.write_bytes(WRAPPINGS[kind](1.0))
    done = _converted(path)
    assert done.returncode == 1
    assert done.stderr.startswith("equipot convert: ")
    assert len(done.stderr.splitlines()) == 1
