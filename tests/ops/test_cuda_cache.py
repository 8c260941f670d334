"""Compiled kernels on disk. The GPU and its compiler are emulated, see conftest.py."""

import os
from pathlib import Path

import pytest
import torch

from equipot.ops import engine
from tests.ops.test_cuda_emulated import both
from tests.ops.test_engine import problem

pytestmark = pytest.mark.usefixtures("emulated_gpu")
COMPILER = Path(__file__).parent / "cuda_emulation" / "emulation.h"


@pytest.fixture
def call():
    """Of a layer that no other test has, and the CPU's result."""
    compiled, _, arguments = problem("5x0e+7x1o", "3x0e", 1, False)
    gpu, cpu = both(compiled, arguments)
    return gpu, cpu.forward()


def start(call, cache, compiler):
    """A process in which no kernel is loaded, and where to read whether it got the right numbers."""
    gpu, expected = call
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.environ.update({"XDG_CACHE_HOME": str(cache), "EMULATION_HEADER": str(compiler)})
            found = "right" if torch.allclose(gpu.forward(), expected) else "wrong"
        except ValueError as error:
            found = str(error)
        os.write(writer, found.encode())
        os._exit(0)
    os.close(writer)
    return child, reader


def finish(child, reader):
    os.waitpid(child, 0)
    with os.fdopen(reader) as stream:
        return stream.read()


def in_a_new_process(call, cache, compiler=COMPILER):
    """Whether a process in which no kernel is loaded gets the right numbers; the message if it fails."""
    return finish(*start(call, cache, compiler))


def test_a_kernel_that_was_compiled_once_is_not_compiled_again(call, tmp_path):
    missing = tmp_path / "missing.h"
    assert "NVRTC cannot compile a kernel" in in_a_new_process(call, tmp_path, missing)
    assert in_a_new_process(call, tmp_path) == "right"
    assert in_a_new_process(call, tmp_path, missing) == "right"
    assert len(list((tmp_path / "equipot" / "cuda").iterdir())) == 1


def test_processes_that_compile_at_once_leave_one_good_file(call, tmp_path):
    children = [start(call, tmp_path, COMPILER) for _ in range(3)]
    assert [finish(*child) for child in children] == ["right"] * 3
    assert len(list((tmp_path / "equipot" / "cuda").iterdir())) == 1
    assert in_a_new_process(call, tmp_path, tmp_path / "missing.h") == "right"


def test_what_is_kept_can_be_read_and_written_by_its_owner_alone(call, tmp_path):
    assert in_a_new_process(call, tmp_path) == "right"
    folder = tmp_path / "equipot" / "cuda"
    (kept,) = folder.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    assert kept.stat().st_mode & 0o077 == 0


def test_a_damaged_file_is_made_anew(call, tmp_path):
    assert in_a_new_process(call, tmp_path) == "right"
    (kept,) = (tmp_path / "equipot" / "cuda").iterdir()
    good = kept.read_bytes()
    for damaged in (b"", good[: len(good) // 2], good[:-1] + bytes([good[-1] ^ 1]), b"x" + good, good + b"x"):
        kept.write_bytes(damaged)
        message = in_a_new_process(call, tmp_path, tmp_path / "missing.h")
        assert "NVRTC cannot compile a kernel" in message
    assert in_a_new_process(call, tmp_path) == "right"
    assert in_a_new_process(call, tmp_path, tmp_path / "missing.h") == "right"


def test_a_file_of_another_layer_is_not_taken_for_this_one(call, tmp_path):
    other, _, arguments = problem("5x0e+8x1o", "3x0e", 1, False)
    gpu, cpu = both(other, arguments)
    assert in_a_new_process((gpu, cpu.forward()), tmp_path) == "right"
    (foreign,) = (tmp_path / "equipot" / "cuda").iterdir()
    text = foreign.read_bytes()
    foreign.unlink()
    assert in_a_new_process(call, tmp_path) == "right"
    (kept,) = (tmp_path / "equipot" / "cuda").iterdir()
    kept.write_bytes(text)
    assert in_a_new_process(call, tmp_path) == "right"


def test_without_a_place_to_keep_them_kernels_are_compiled_every_time(call, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert in_a_new_process(call, blocked) == "right"
    assert blocked.read_text() == ""


def test_a_gpu_that_is_not_there_is_named(call, monkeypatch):
    monkeypatch.setattr(engine.cuda, "_queue", lambda tensor: (3, 0))
    with pytest.raises(ValueError, match="finding the GPU failed"):
        call[0].forward()
