"""A GPU emulated on the CPU: the library's own kernels, text for text, behind stand-ins for CUDA's libraries."""

import ctypes
import subprocess
from pathlib import Path

import pytest

from equipot.native.library import call, function
from equipot.ops import engine

SOURCES = Path(__file__).parent / "cuda_emulation"


def build_emulation(folder: Path) -> None:
    """libcuda.so.1 and libnvrtc.so.12 that run kernels on the CPU."""
    for name, source in (("libcuda.so.1", "driver.cpp"), ("libnvrtc.so.12", "nvrtc.cpp")):
        command = [
            "g++",
            "-std=c++17",
            "-O1",
            "-shared",
            "-fPIC",
            str(SOURCES / source),
            "-o",
            str(folder / name),
        ]
        subprocess.run(command, check=True)


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def emulation(tmp_path_factory):
    """Folder of the stand-ins, in use by this process from now on; kernels are kept below it."""
    if not engine.available():
        pytest.skip("the compiled kernels are off or not installed")
    if subprocess.run(["which", "g++"], capture_output=True).returncode != 0:
        pytest.skip("emulating a GPU takes g++")
    if has_driver():
        pytest.skip("this machine has CUDA's driver: tests/ops/test_cuda.py compares on its GPU")
    folder = tmp_path_factory.mktemp("emulation")
    build_emulation(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMULATION_HEADER", str(SOURCES / "emulation.h"))
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.setenv("EQUIPOT_NVRTC", str(folder))
        call("CUDA", function("cuda_open", (ctypes.c_char_p,)), None)
        yield folder


@pytest.fixture
def emulated_gpu(emulation, monkeypatch):
    """Tensors on the CPU are served by the kernels for GPUs."""
    monkeypatch.setattr(engine.cuda, "_queue", lambda tensor: (0, 0))
    monkeypatch.setattr(engine, "convolution_of", lambda x: engine.cuda.Convolution)
    monkeypatch.setattr(engine, "gating_of", lambda x: engine.cuda.Gating)
