"""Figures of the scaling benchmark, computed from its runs: plain values for tables and for the file."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from .projection import halo, volume
from .runs import PARTS, Run

Figures = dict[str, Any]


def spread(values: Sequence[float]) -> Figures:
    return {"median": median(values), "minimum": min(values), "maximum": max(values)}


def scaling(runs: dict[int, list[Run]]) -> list[Figures]:
    """Return a row per number of ranks; speed-ups are per atom relative to one rank, of medians and of minima."""

    def per_atom(runs: list[Run], average: Callable) -> float:
        return average([r.seconds / r.atoms for r in runs])

    rows = []
    for n, of_n in runs.items():
        total = [sum(r.milliseconds.values()) for r in of_n]
        rows.append(
            {
                "ranks": n,
                "atoms": of_n[0].atoms,
                "seconds": spread([r.seconds for r in of_n]),
                "seconds_per_atom": spread([r.seconds / r.atoms for r in of_n]),
                "speed_up": per_atom(runs[1], median) / per_atom(of_n, median),
                "speed_up_of_minima": per_atom(runs[1], min) / per_atom(of_n, min),
                "efficiency": per_atom(runs[1], median) / per_atom(of_n, median) / n,
                "shares": {p: median(r.milliseconds[p] / t for r, t in zip(of_n, total)) for p in PARTS},
                "pair_share": median(r.pair_seconds / r.seconds for r in of_n),
                "received_bytes": of_n[0].received_bytes,
                "memory_bytes": max(r.memory_bytes for r in of_n),
            }
        )
    return rows


def overlap(runs: Sequence[Run]) -> float | None:
    """Return the fraction of the runs' measured time during which all of them were measured."""
    spans = [r.span for r in runs if r.span]
    if len(spans) < len(runs):
        return None
    common = min(end for _, end in spans) - max(begin for begin, _ in spans)
    return max(0.0, common) * len(spans) / sum(end - begin for begin, end in spans)


def limit(strong: Figures, alone: list[Run], together: list[list[Run]]) -> Figures:
    """Return the speed-up that shared caches and memory allow, beside that of a `strong` row.

    alone, together: by round; runs are compared within a round.
    """
    n = strong["ranks"]
    slow_downs = [median(r.seconds for r in many) / one.seconds for one, many in zip(alone, together)]
    allowed = n / median(slow_downs)
    overlaps = [o for o in map(overlap, together) if o is not None]
    return {
        "ranks": n,
        "atoms": alone[0].atoms,
        "alone_seconds": spread([r.seconds for r in alone]),
        "together_seconds": spread([r.seconds for many in together for r in many]),
        "slow_down": spread(slow_downs),
        "overlap": median(overlaps) if overlaps else None,
        "allowed_speed_up": allowed,
        "speed_up": strong["speed_up"],
        "fraction": strong["speed_up"] / allowed,
    }


def beside_calculator(one: list[Run], calculator: list[float]) -> Figures:
    """Compare LAMMPS's pair style on one rank with the calculator's step without a search, per atom and round."""
    return {
        "lammps_seconds_per_atom": spread([r.pair_seconds / r.atoms for r in one]),
        "calculator_seconds_per_atom": spread([c / r.atoms for r, c in zip(one, calculator)]),
        "ratio": spread([r.pair_seconds / c for r, c in zip(one, calculator)]),
    }


def memory(small: Run, large: Run) -> list[Figures]:
    """Return the bytes per atom of the pair style's report and of the process, as slopes between two runs."""
    rows = []
    for name in ("memory_bytes", "resident_bytes"):
        low, high = getattr(small, name), getattr(large, name)
        if low is None or high is None or small.atoms == large.atoms:
            continue
        slope = (high - low) / (large.atoms - small.atoms)
        sizes = {"of": name, "atoms": [small.atoms, large.atoms], "bytes": [low, high]}
        rows.append({**sizes, "bytes_per_atom": slope, "atoms_per_gib": 2**30 / slope if slope > 0 else None})
    return rows


def counted_and_reported(
    kind: str, run: Run, box: Sequence[float], reach: float, row_bytes: list[int]
) -> Figures:
    """Return the counts on which projections rest, beside those that the pair style reports for a run."""
    density = run.atoms / (box[0] * box[1] * box[2])
    counted = volume(density * halo(box, run.grid, reach), row_bytes)
    return {
        "kind": kind,
        "ranks": run.ranks,
        "grid": list(run.grid),
        "atoms": run.atoms,
        "counted_ghosts": counted.ghosts,
        "reported_ghosts": run.remote_atoms,
        "counted_bytes": counted.feature_bytes,
        "reported_bytes": run.received_bytes,
    }
