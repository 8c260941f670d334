"""NVRTC takes the kernels, for old and new GPUs, and they fit: no GPU is needed to compile.

EQUIPOT_NVRTC names a folder with libnvrtc.so.12 or .13 (that of the wheel nvidia-cuda-nvrtc-cu12), where there is none
beside torch or in the system.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from equipot.ops import engine

MEDIUM = ("128x0e+64x1o+32x2e", "1x0e+1x1o+1x2e", 2)
LARGE = ("128x0e+64x1o+32x2e+32x3o", "1x0e+1x1o+1x2e+1x3o", 3)
LAST = ("64x0e+32x1o", "1x0e", 1)

pytestmark = pytest.mark.skipif(
    not engine.available(), reason="the compiled kernels are off or not installed"
)


def compiled(layer, size, order, architecture):
    """What NVRTC says, kernel by kernel: {name: text}."""
    arguments = [str(a) for a in (*layer, size, order, architecture)]
    run = subprocess.run(
        [sys.executable, "-m", "tests.ops.cuda_report", *arguments],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    if "no CUDA compiler" in run.stderr:
        pytest.skip("no NVRTC on this machine; EQUIPOT_NVRTC names its folder")
    if "is too old for the NVRTC" in run.stderr:
        pytest.skip(f"this NVRTC does not compile for {architecture}")
    assert run.returncode == 0, run.stderr
    return {part.split("\n")[0]: part for part in run.stdout.split("# ")[1:]}


@pytest.mark.parametrize(
    ("layer", "size", "order", "architecture"),
    [
        (LAST, 4, 2, 70),
        (LAST, 8, 3, 90),
        (MEDIUM, 4, 2, 80),
        pytest.param(MEDIUM, 4, 3, 70, marks=pytest.mark.exhaustive),
        pytest.param(MEDIUM, 8, 2, 80, marks=pytest.mark.exhaustive),
        pytest.param(LARGE, 4, 2, 70, marks=pytest.mark.exhaustive),
        pytest.param(LARGE, 4, 2, 80, marks=pytest.mark.exhaustive),
        pytest.param(LARGE, 4, 2, 90, marks=pytest.mark.exhaustive),
    ],
)
def test_kernels_compile_and_stay_in_registers(layer, size, order, architecture):
    report = compiled(layer, size, order, architecture)
    assert len(report) == 10
    for name, text in report.items():
        assert "warning #" not in text, text
        for registers in re.findall(r"Used (\d+) registers", text):
            assert int(registers) <= 255
        # What ptxas spills to allow more threads is a few words; arrays in local memory would be hundreds.
        for spilled in re.findall(r"(\d+) bytes stack frame", text):
            assert int(spilled) <= 128, f"{name}: {text}"


def test_an_architecture_that_nvrtc_does_not_know_is_named():
    run = subprocess.run(
        [sys.executable, "-m", "tests.ops.cuda_report", *map(str, LAST), "4", "2", "30"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    if "no CUDA compiler" in run.stderr:
        pytest.skip("no NVRTC on this machine; EQUIPOT_NVRTC names its folder")
    assert "a GPU of compute capability 3.0 is too old for the NVRTC on this machine" in run.stderr


def test_without_a_driver_the_sentence_says_so():
    code = """
import ctypes
from equipot.ops import engine
from equipot.native.library import call, function
call("CUDA", function("cuda_open", (ctypes.c_char_p,)), None)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if run.returncode == 0:
        pytest.skip("this machine has CUDA")
    assert re.search(r"no CUDA (driver|compiler) \(lib\w+\.so\.\d+\) on this machine", run.stderr)
