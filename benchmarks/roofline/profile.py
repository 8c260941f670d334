"""Profiling a step on a GPU, with the counted work of its kernels beside their times."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equipot.contract import edges_only
from equipot.device import device_name
from equipot.model_file import load_model, load_potential
from equipot.neighbours import VerletList
from equipot.network.derivatives import predict
from equipot.speed.structure import crystal

from .counting import GraphSize, launches, linear_maps
from .device import Peaks
from .report import Launch, rows

STEPS = 5
WARM_UP = 4  # steps: TorchScript profiles two calls, and the kernels are compiled


def measure(path: Path, device: str, n_atoms: int, peaks: Peaks) -> dict[str, Any]:
    """Profile a few steps of at least n_atoms atoms and return plain values: times, and rows of the kernels."""
    model, potential = load_model(path, device), load_potential(path)
    type_names, cutoff = model.metadata.type_names, model.metadata.cutoff
    atoms = crystal(type_names, n_atoms)
    types = np.array([type_names.index(s) for s in atoms.symbols], dtype=np.int64)
    neighbours = VerletList(cutoff, 0.0, device=model.device)
    edges, vectors = neighbours.update(atoms.positions, atoms.cell.array, np.array(atoms.pbc), types)
    inputs = edges_only(torch.from_numpy(types).to(model.device), edges, vectors)

    def step() -> None:
        predict(model.module, inputs)

    for _ in range(WARM_UP):
        step()
    events = _profiled(step, model.device)
    torch.cuda.synchronize(model.device)
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    torch.cuda.synchronize(model.device)
    seconds = (time.perf_counter() - start) / STEPS
    graph = GraphSize.of(edges.cpu(), vectors.norm(dim=1).cpu(), len(types), cutoff, potential.spec.n_knots)
    real = 8 if potential.spec.dtype == "float64" else 4
    expected, linear = launches(potential, graph), linear_maps(potential, len(types), real)
    return {
        "gpu": device_name(model.device),
        "assumed": peaks.assumed,
        "model": str(path),
        "atoms": len(types),
        "edges": edges.shape[1],
        "seconds": seconds,
        "kernel_seconds": sum(e.seconds for e in events) / STEPS,
        "rows": rows(events, STEPS, expected, linear, peaks),
    }


def _profiled(step: Callable[[], None], device: torch.device) -> list[Launch]:
    """Return all kernels of STEPS steps, in the order in which the GPU began them."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(STEPS):
            step()
        torch.cuda.synchronize(device)
    on_gpu = torch.autograd.DeviceType.CUDA
    kernels = [e for e in profile.events() if e.device_type == on_gpu and not e.is_user_annotation]
    kernels.sort(key=lambda e: e.time_range.start)
    return [Launch(e.name, 1e-6 * e.time_range.elapsed_us()) for e in kernels]
