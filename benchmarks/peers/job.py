"""Jobs of a worker: functions to be called again and again, their time and their memory."""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch


class Job(NamedTuple):
    """A function to time, and the size of its problem."""

    call: Callable[[], Any]
    atoms: int
    edges: int = 0
    parameters: int = 0
    search: str = ""  # name of the neighbour search, where it is part of the call

    def seconds(self, calls: int) -> float:
        """Return the mean time of a number of calls."""
        _synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            self.call()
        _synchronize()
        return (time.perf_counter() - start) / calls

    def peak_bytes(self) -> int:
        """Return the growth of memory in one call, at its peak.

        On a GPU it is what torch allocates there; else the resident set of the process, as Linux reports it.
        """
        gc.collect()
        if torch.cuda.is_initialized():
            _synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self.call()
            _synchronize()
            return torch.cuda.max_memory_allocated() - before
        # malloc keeps what the warm-up freed and would hand it out again without the process growing.
        ctypes.CDLL(None).malloc_trim(0)
        # Loading may have needed more for a moment than is allocated now; Linux resets that peak on request.
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        self.call()
        return 1024 * max(0, _status("VmHWM") - before)


def select_device(request: dict[str, Any]) -> torch.device:
    """Return the device of a request; a GPU becomes torch's current one, so that its time and memory are measured."""
    device = torch.device(request.get("device", "cpu"))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _synchronize() -> None:
    """Wait for the GPU, if one is in use: calls return before it has finished."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _status(field: str) -> int:
    """Return a field of /proc/self/status in kiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")
