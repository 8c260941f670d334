"""The measurement of one model file on one structure, as plain values."""

from typing import Any

import torch
from ase import Atoms

from equipot import native
from equipot.device import device_name
from equipot.model_file import LoadedModel, load_potential
from equipot.model_file.script import inputs_of
from equipot.network.layer import Cost
from equipot.speed import convolutions, memory
from equipot.speed.arithmetic import NetworkCost, network_cost
from equipot.speed.machine import kernels, processor, versions
from equipot.speed.step import STEP_PARTS, TOTAL, Step
from equipot.speed.timing import Times, in_turns


def measure(
    model: LoadedModel, atoms: Atoms, seconds: float = 6.0, steps: int | None = None
) -> dict[str, Any]:
    """Measure time, memory and arithmetic of a calculator's steps with torch's present number of threads.

    Args:
        model, atoms: model file and structure; neither is changed
        seconds: approximate duration of the timing, without warm-up
        steps: number of steps, instead of a duration

    Return values for JSON: times in seconds per step (`minimum`, `median`, `rounds`), bytes, and 1e9 fused
    multiply-adds per second. Without compiled kernels, `kernels` is None and `without_kernels` is the reason. Raise the
    calculator's errors for structures that the model cannot compute.
    """
    threads, device = torch.get_num_threads(), torch.device(model.device)
    step = Step(model, atoms)
    n_edges = step.structure.edge_index.shape[1]
    neighbours = n_edges / len(atoms)
    potential = load_potential(model.path)
    cost = network_cost(potential)
    missing = _reason_without_kernels(model)
    dtype = getattr(torch, model.metadata.dtype)
    peak = None if missing else _peak(dtype, threads)
    times = in_turns(step.pieces(), seconds if missing else 0.7 * seconds, steps, device)
    rows = None
    if peak is not None:
        calls = convolutions.arguments_of_layers(potential, inputs_of(step.structure))
        alone = in_turns(convolutions.pieces(calls), 0.3 * seconds, steps)
        peak = max(peak, _peak(dtype, threads))
        rows = _kernels(cost, alone, n_edges, peak)
    total = times[TOTAL].median
    work = cost.per_atom(neighbours)
    return {
        "model": str(model.path),
        "dtype": model.metadata.dtype,
        "elements": list(model.metadata.type_names),
        "cutoff": model.metadata.cutoff,
        "structure": atoms.get_chemical_formula(empirical=True),
        "atoms": len(atoms),
        "neighbours": neighbours,
        "device": model.device,
        "threads": threads,
        "device_name": device_name(device),
        "isa": kernels(device),
        "neighbour_search": step.calculator.neighbours.search.name,
        "cpu": processor(),
        "versions": versions(),
        "seconds": {name: t.to_dict() for name, t in times.items()},
        "seconds_sum_of_parts": {
            which: sum(getattr(times[name], which) for name in STEP_PARTS) for which in ("minimum", "median")
        },
        "ns_per_day": 86400 / total * 1e-6,
        "peak_bytes": memory.peak_bytes(model, atoms, threads),
        "fma_per_atom": work,
        "fma_per_atom_convolutions": neighbours * sum(c.total for c in cost.convolutions),
        "gfma_per_second": work * len(atoms) / total * 1e-9,
        "peak_gfma_per_second": peak,
        "kernels": rows,
        "without_kernels": missing,
    }


def _peak(dtype: torch.dtype, threads: int) -> float:
    """Return the largest of three measurements, as other programs can only make them smaller."""
    return max(native.peak_gfma(dtype.itemsize, threads) for _ in range(3))


def _reason_without_kernels(model: LoadedModel) -> str | None:
    if model.device != "cpu":
        return (
            f"The peak is measured on the CPU, but the model runs on {model.device}: "
            "python -m benchmarks.roofline compares the kernels with the peak of that GPU."
        )
    if not native.available():
        return "The compiled kernels are off or not installed, so they cannot be compared with a peak."
    return None


def _kernels(cost: NetworkCost, times: dict[str, Times], n_edges: int, peak: float) -> list[dict[str, Any]]:
    """Return a row for the convolution of each layer, and one for all."""
    rows, of_all, cost_of_all = [], [(0.0, 0.0), (0.0, 0.0)], Cost()
    for k, layer in enumerate(cost.convolutions, start=1):
        both = [(times[name].minimum, times[name].median) for name in convolutions.names(k)]
        rows.append(_row(f"layer {k}", layer, both, n_edges, peak))
        of_all = [_sum(a, b) for a, b in zip(of_all, both)]
        cost_of_all += layer
    return [*rows, _row("all", cost_of_all, of_all, n_edges, peak)]


def _row(
    name: str, cost: Cost, seconds: list[tuple[float, float]], n_edges: int, peak: float
) -> dict[str, Any]:
    """Return a row from (minimum, median) of the forward and the backward call."""
    row: dict[str, Any] = {"name": name}
    of_pass = (("forward", seconds[0], cost.forward), ("backward", seconds[1], cost.backward))
    for which, (minimum, median), fma in (*of_pass, ("both", _sum(*seconds), cost.total)):
        row[which] = {
            "minimum": minimum,
            "median": median,
            "fma_per_edge": fma,
            "gfma_per_second": fma * n_edges / median * 1e-9,
            "fraction_of_peak": fma * n_edges / median * 1e-9 / peak,
            "fraction_of_peak_at_best": fma * n_edges / minimum * 1e-9 / peak,
        }
    return row


def _sum(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return a[0] + b[0], a[1] + b[1]
