"""The worker's side of the conversation: one JSON request a line in, one JSON answer a line out."""

import ctypes
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch


class Job(NamedTuple):
    """Something that can be timed, and its size; `search` says who finds neighbours, where that is a part of it."""

    call: Callable[[], Any]
    atoms: int
    edges: int
    parameters: int
    search: str = ""


def device_of(request: dict[str, Any]) -> torch.device:
    """Where the request's job runs; a GPU is made the current one, whose clock and memory are looked at."""
    device = torch.device(request.get("device", "cpu"))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def serve(prepare: Callable[[dict[str, Any]], Job], versions: dict[str, str]) -> None:
    """Answer requests until the input ends; argv[1] is the number of threads.

    {"do": "prepare", "name": …, …} -> sizes; {"do": "time", "name", "calls"} -> {"seconds": mean of the calls};
    {"do": "memory", "name"} -> {"bytes": growth of the memory in one call, at its peak}: of the resident set, or of
    what torch has allocated on the GPU that a job runs on. A request that fails is answered with {"error": one line}.
    """
    # Libraries print; their words go to stderr and leave the answers alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(int(sys.argv[1]))
    jobs: dict[str, Job] = {}

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "prepare":
            start = time.perf_counter()
            job = jobs[request["name"]] = prepare(request)
            return {**job._asdict(), "call": None, "prepared_in": time.perf_counter() - start}
        job = jobs[request["name"]]
        if request["do"] == "memory":
            return {"bytes": _peak_growth(job.call)}
        wait()
        start = time.perf_counter()
        for _ in range(request["calls"]):
            job.call()
        wait()
        return {"seconds": (time.perf_counter() - start) / request["calls"]}

    def send(values: dict[str, Any]) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    send({**versions, "threads": torch.get_num_threads()})
    for line in sys.stdin:
        try:
            send(answer(json.loads(line)))
        except Exception as error:
            traceback.print_exc()
            first = next(iter(str(error).strip().splitlines()), "")
            send({"error": f"{type(error).__name__}: {first}"})


def wait() -> None:
    """Until the GPU has done what it was given, if there is one in use: calls return before."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _peak_growth(call: Callable[[], Any]) -> int:
    """Bytes by which the memory grows in one call, at its highest."""
    gc.collect()
    if torch.cuda.is_initialized():
        wait()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        wait()
        return torch.cuda.max_memory_allocated() - before
    # What the warm-up freed and malloc kept would otherwise be used again and not be seen.
    ctypes.CDLL(None).malloc_trim(0)
    # Loading may have needed more for a moment than is held now; Linux forgets that peak on request.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    call()
    return 1024 * max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    """A line of /proc/self/status in kiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")
