"""Tables of the scaling benchmark."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from .projection import SHARE

Figures = dict[str, Any]
MIB = 2**20


def show(console: Console, results: Figures) -> None:
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


def _table(title: str, headings: Sequence[str], words: int = 0) -> Table:
    """The first `words` columns hold words."""
    table = Table(title=title, title_justify="left")
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="left" if k < words else "right")
    return table


def _times(values: Figures, factor: float) -> str:
    return f"{_digits(values['median'] * factor)} ({_digits(values['minimum'] * factor)})"


def _digits(value: float) -> str:
    """Four digits, all of them before the point where there are more."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _scaling(rows: list[Figures], title: str) -> Table:
    headings = ("ranks", "atoms", "ms per step", "µs per atom", "speed-up", "efficiency")
    table = _table(
        f"{title}\nmedian (minimum) of the rounds; all of LAMMPS; per atom of the system", headings
    )
    for row in rows:
        table.add_row(
            str(row["ranks"]),
            str(row["atoms"]),
            _times(row["seconds"], 1e3),
            _times(row["seconds_per_atom"], 1e6),
            f"{row['speed_up']:.2f} ({row['speed_up_of_minima']:.2f})",
            f"{row['efficiency']:.0%}",
        )
    return table


def _parts(rows: list[Figures], title: str) -> Table:
    parts = list(rows[0]["shares"])
    table = _table(title, ("ranks", *parts, "of LAMMPS", "MiB received", "MiB per rank"))
    for row in rows:
        shares = [f"{row['shares'][p]:.2%}" for p in parts]
        sizes = [f"{row['received_bytes'] / MIB:.2f}", f"{row['memory_bytes'] / MIB:.0f}"]
        table.add_row(str(row["ranks"]), *shares, f"{row['pair_share']:.1%}", *sizes)
    return table


def _limit(rows: list[Figures]) -> Table:
    headings = (
        "ranks", "atoms each", "ms alone", "ms together", "slow-down", "overlap",
        "speed-up it allows", "strong speed-up", "of what is allowed",
    )  # fmt: skip
    title = "the machine: independent runs on one rank, alone and as many at once as ranks, no communication"
    table = _table(title, headings)
    for row in rows:
        low, high = row["slow_down"]["minimum"], row["slow_down"]["maximum"]
        table.add_row(
            str(row["ranks"]),
            str(row["atoms"]),
            _times(row["alone_seconds"], 1e3),
            _times(row["together_seconds"], 1e3),
            f"{row['slow_down']['median']:.3f} ({low:.3f} to {high:.3f})",
            "–" if row["overlap"] is None else f"{row['overlap']:.0%}",
            f"{row['allowed_speed_up']:.2f}",
            f"{row['speed_up']:.2f}",
            f"{row['fraction']:.0%}",
        )
    return table


def _calculator(row: Figures) -> Table:
    title = "one rank beside the ASE calculator on one thread, µs per atom without neighbour searches"
    table = _table(title, ("LAMMPS, pair style", "calculator", "ratio"))
    ratio = row["ratio"]
    table.add_row(
        _times(row["lammps_seconds_per_atom"], 1e6),
        _times(row["calculator_seconds_per_atom"], 1e6),
        f"{ratio['median']:.3f} ({ratio['minimum']:.3f} to {ratio['maximum']:.3f})",
    )
    return table


def _memory(rows: list[Figures]) -> Table:
    few, many = rows[0]["atoms"]
    headings = ("of", f"MiB at {few}", f"MiB at {many}", "KiB per atom", "atoms per GiB")
    table = _table("memory of one rank", headings, words=1)
    words = {"memory_bytes": "the pair style's report", "resident_bytes": "the whole process, at most"}
    for row in rows:
        found = row["atoms_per_gib"]
        table.add_row(
            words[row["of"]],
            *(f"{b / MIB:.1f}" for b in row["bytes"]),
            f"{row['bytes_per_atom'] / 1024:.1f}",
            "–" if found is None else f"{found:,.0f}",
        )
    return table


def _counts(rows: list[Figures], reach: float) -> Table:
    headings = ("run", "ranks", "grid", "ghosts counted", "reported", "MiB of rows counted", "reported")
    title = f"the count below, checked here: atoms of other ranks within {reach:g} Å of a rank's part"
    table = _table(title, headings, words=1)
    for row in rows:
        table.add_row(
            row["kind"],
            str(row["ranks"]),
            "×".join(map(str, row["grid"])),
            f"{row['counted_ghosts']:.0f}",
            str(row["reported_ghosts"]),
            f"{row['counted_bytes'] / MIB:.2f}",
            f"{row['reported_bytes'] / MIB:.2f}",
        )
    return table


def _projection(rows: list[Figures]) -> Table:
    headings = (
        "atoms per rank", "edge Å", "ghosts", "ghosts per atom", "exchanges", "messages",
        "MiB per step", "compute ms", "GB/s per rank",
    )  # fmt: skip
    title = (
        "clusters, from counts: cubic subdomains, divided in all directions; compute of a rank's own atoms as "
        f"measured here on one rank; GB/s that keep the transfer within {SHARE:.0%} of it (latency not included)"
    )
    table = _table(title, headings)
    for row in rows:
        table.add_row(
            str(row["atoms"]),
            f"{row['edge']:.1f}",
            f"{row['ghosts']:.0f}",
            f"{row['ghosts'] / row['atoms']:.2f}",
            str(row["exchanges"]),
            str(row["messages"]),
            f"{row['received_bytes'] / MIB:.2f}",
            f"{1e3 * row['compute_seconds']:.1f}",
            f"{1e-9 * row['bandwidth']:.3f}",
        )
    return table
