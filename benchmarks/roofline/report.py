"""Measured times beside counted work: the fractions of a GPU's bandwidth and multiply-adds that kernels reach."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.table import Table

from benchmarks.tables import rich_table

from .counting import Work
from .device import Peaks

LINEAR = "linear maps (products)"
OTHER = "other kernels"
EQUIPOT = ("by_centre", "by_neighbour", "sum_slabs", "gate", "gate_backward")
GRAPH = ("check_edges", "find_centres", "start_neighbours", "place_edges", "order_edges")
_PRODUCT = re.compile(r"gemm|gemv|cutlass|cublas", re.IGNORECASE)

Row = dict[str, Any]


class Launch(NamedTuple):
    """One launch of a kernel on the GPU, as the profiler reports it."""

    name: str
    seconds: float


def rows(
    events: Sequence[Launch], steps: int, expected: dict[str, list[Work]], linear: Work, peaks: Peaks
) -> list[Row]:
    """Return a row per kernel and layer in the order of launching, one for the linear maps, one for the other kernels.

    events: launches of `steps` equal steps, in order. A kernel that was not launched as often as `expected` says gets
    one row without fractions, since its launches cannot be assigned to layers.
    """
    result: list[Row] = []
    named: dict[str, list[float]] = {}
    for event in events:
        named.setdefault(_group(event.name), []).append(event.seconds)
    for name, seconds in named.items():
        works = expected.get(name)
        if works is None:
            result.append(_row(name, seconds, steps, linear if name == LINEAR else None, peaks))
        elif len(seconds) != steps * len(works):
            result.append(_row(name, seconds, steps, None, peaks))
        else:
            last = len(works)
            backwards = name in ("by_neighbour", "gate_backward")
            for k, work in enumerate(works):
                layer = last - k if backwards else k + 1
                result.append(_row(f"{name}, layer {layer}", seconds[k::last], steps, work, peaks))
    return result


def _group(name: str) -> str:
    if name in EQUIPOT or name in GRAPH:
        return name
    return LINEAR if _PRODUCT.search(name) else OTHER


def _row(name: str, seconds: list[float], steps: int, work: Work | None, peaks: Peaks) -> Row:
    time = sum(seconds) / steps
    row: Row = {"kernel": name, "launches": len(seconds) / steps, "seconds": time, "bytes": None, "fma": None}
    row.update(of_bandwidth=None, of_fma=None)
    if work is not None and time > 0:
        row.update(bytes=work.n_bytes, of_bandwidth=work.n_bytes / time / peaks.bytes_per_second)
        row.update(fma=work.fma, of_fma=work.fma / time / peaks.fma_per_second)
    return row


def table(title: str, rows: Sequence[Row]) -> Table:
    cells = [
        {
            "kernel": row["kernel"],
            "launches": f"{row['launches']:g}",
            "µs": f"{1e6 * row['seconds']:.1f}",
            "MB it must move": _scaled(row["bytes"]),
            "of bandwidth": _share(row["of_bandwidth"]),
            "MFMA": _scaled(row["fma"]),
            "of FMA peak": _share(row["of_fma"]),
        }
        for row in rows
    ]
    return rich_table(title, cells, ("kernel",))


def _scaled(value: int | None) -> str:
    return "–" if value is None else f"{value / 1e6:,.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
