"""The processor and the versions that belong to figures of speed."""

import os
import platform
from pathlib import Path

import torch

import equipot
from equipot import native
from equipot.ops import engine


def processor() -> str:
    """Return the name of the processor and the number of cores that this process may use."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def kernels(device: torch.device) -> str:
    """Return the kind of kernels that run on the device."""
    if not engine.serves(torch.empty(0, device=device)):
        return "none: reference operators"
    return "compiled on the GPU" if device.type == "cuda" else native.isa()


def versions() -> dict[str, str]:
    return {"equipot": equipot.__version__, "torch": torch.__version__, "python": platform.python_version()}
