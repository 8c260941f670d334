"""Tables of the scaling benchmark."""

from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.tables import rich_table

from .projection import SHARE

Figures = dict[str, Any]
MIB = 2**20


def show(console: Console, results: Figures) -> None:
    """Print all tables that have rows."""
    for kind, title in (
        ("strong", "one system on more ranks"),
        ("weak", "about as many atoms on every rank"),
    ):
        console.print(_scaling(results[kind], f"{kind} scaling: {title}"))
        console.print(_parts(results[kind], f"{kind} scaling: shares of the pair style's time, medians"))
    if results["limit"]:
        console.print(_limit(results["limit"]))
    console.print(_calculator(results["calculator"]))
    if results["memory"]:
        console.print(_memory(results["memory"]))
    if results["counts"]:
        console.print(_counts(results["counts"], results["reach"]))
    console.print(_projection(results["projection"]))


def _times(values: Figures, factor: float) -> str:
    return f"{_digits(values['median'] * factor)} ({_digits(values['minimum'] * factor)})"


def _ratios(values: Figures) -> str:
    return f"{values['median']:.3f} ({values['minimum']:.3f} to {values['maximum']:.3f})"


def _digits(value: float) -> str:
    """Format with four digits, or as a whole number from 1000 on."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _scaling(rows: list[Figures], title: str) -> Table:
    cells = [
        {
            "ranks": str(row["ranks"]),
            "atoms": str(row["atoms"]),
            "ms per step": _times(row["seconds"], 1e3),
            "µs per atom": _times(row["seconds_per_atom"], 1e6),
            "speed-up": f"{row['speed_up']:.2f} ({row['speed_up_of_minima']:.2f})",
            "efficiency": f"{row['efficiency']:.0%}",
        }
        for row in rows
    ]
    note = "median (minimum) of the rounds; all of LAMMPS; per atom of the system"
    return rich_table(f"{title}\n{note}", cells)


def _parts(rows: list[Figures], title: str) -> Table:
    cells = [
        {
            "ranks": str(row["ranks"]),
            **{part: f"{share:.2%}" for part, share in row["shares"].items()},
            "of LAMMPS": f"{row['pair_share']:.1%}",
            "MiB received": f"{row['received_bytes'] / MIB:.2f}",
            "MiB per rank": f"{row['memory_bytes'] / MIB:.0f}",
        }
        for row in rows
    ]
    return rich_table(title, cells)


def _limit(rows: list[Figures]) -> Table:
    cells = [
        {
            "ranks": str(row["ranks"]),
            "atoms each": str(row["atoms"]),
            "ms alone": _times(row["alone_seconds"], 1e3),
            "ms together": _times(row["together_seconds"], 1e3),
            "slow-down": _ratios(row["slow_down"]),
            "overlap": "–" if row["overlap"] is None else f"{row['overlap']:.0%}",
            "speed-up it allows": f"{row['allowed_speed_up']:.2f}",
            "strong speed-up": f"{row['speed_up']:.2f}",
            "of what is allowed": f"{row['fraction']:.0%}",
        }
        for row in rows
    ]
    title = "the machine: independent runs on one rank, alone and as many at once as ranks, no communication"
    return rich_table(title, cells)


def _calculator(row: Figures) -> Table:
    cells = {
        "LAMMPS, pair style": _times(row["lammps_seconds_per_atom"], 1e6),
        "calculator": _times(row["calculator_seconds_per_atom"], 1e6),
        "ratio": _ratios(row["ratio"]),
    }
    title = "one rank beside the ASE calculator on one thread, µs per atom without neighbour searches"
    return rich_table(title, [cells])


def _memory(rows: list[Figures]) -> Table:
    sources = {"memory_bytes": "the pair style's report", "resident_bytes": "the whole process, at its peak"}
    cells = [
        {
            "of": sources[row["of"]],
            **{f"MiB at {n}": f"{b / MIB:.1f}" for n, b in zip(row["atoms"], row["bytes"])},
            "KiB per atom": f"{row['bytes_per_atom'] / 1024:.1f}",
            "atoms per GiB": "–" if row["atoms_per_gib"] is None else f"{row['atoms_per_gib']:,.0f}",
        }
        for row in rows
    ]
    return rich_table("memory of one rank", cells, ("of",))


def _counts(rows: list[Figures], reach: float) -> Table:
    cells = [
        {
            "run": row["kind"],
            "ranks": str(row["ranks"]),
            "grid": "×".join(map(str, row["grid"])),
            "ghosts counted": f"{row['counted_ghosts']:.0f}",
            "ghosts reported": str(row["reported_ghosts"]),
            "MiB of rows counted": f"{row['counted_bytes'] / MIB:.2f}",
            "MiB reported": f"{row['reported_bytes'] / MIB:.2f}",
        }
        for row in rows
    ]
    title = f"the count below, checked here: atoms of other ranks within {reach:g} Å of a rank's part"
    return rich_table(title, cells, ("run",))


def _projection(rows: list[Figures]) -> Table:
    cells = [
        {
            "atoms per rank": str(row["atoms"]),
            "edge Å": f"{row['edge']:.1f}",
            "ghosts": f"{row['ghosts']:.0f}",
            "ghosts per atom": f"{row['ghosts'] / row['atoms']:.2f}",
            "exchanges": str(row["exchanges"]),
            "messages": str(row["messages"]),
            "MiB per step": f"{row['received_bytes'] / MIB:.2f}",
            "compute ms": f"{1e3 * row['compute_seconds']:.1f}",
            "GB/s per rank": f"{1e-9 * row['bandwidth']:.3f}",
        }
        for row in rows
    ]
    title = (
        "clusters, from counts: cubic subdomains, divided in all directions; compute of a rank's own atoms as "
        f"measured here on one rank; GB/s that keep the transfer within {SHARE:.0%} of it (latency not included)"
    )
    return rich_table(title, cells)
