"""Tables of the figures of `measure`."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from equipot.speed.step import SEARCH, STEP_PARTS, TOTAL

MEANING = {
    SEARCH: "full search; a liquid needs one every 20 steps or so",
    "edges": "edge vectors from the list of an earlier search",
    "network": "energies and their gradient with respect to edge vectors",
    "marshalling": "forces, virials, conversions",
    "sum": "without the search",
    TOTAL: "a step of the ASE calculator, without a search",
}


def print_tables(console: Console, figures: dict[str, Any]) -> None:
    console.print(_header(figures))
    console.print(_times(figures))
    console.print(_summary(figures))
    if figures["kernels"]:
        console.print(_kernels(figures["kernels"]))
    if figures["without_kernels"]:
        console.print(figures["without_kernels"], markup=False, highlight=False)


def _header(figures: dict[str, Any]) -> Table:
    table = _pairs("Measured")
    table.add_row("model", escape(figures["model"]))
    table.add_row("precision", f"{figures['dtype']} (geometry, E0 and sums float64)")
    table.add_row("elements", ", ".join(figures["elements"]))
    table.add_row("structure", f"{figures['structure']}, {figures['atoms']} atoms")
    table.add_row("neighbours", f"{figures['neighbours']:.1f} per atom within {figures['cutoff']:g} Å")
    table.add_row("device", escape(figures["device_name"]))
    table.add_row("threads", str(figures["threads"]))
    table.add_row("kernels", figures["isa"])
    table.add_row("neighbours by", figures["neighbour_search"])
    table.add_row("processor", escape(figures["cpu"]))
    table.add_row("versions", ", ".join(f"{name} {version}" for name, version in figures["versions"].items()))
    return table


def _times(figures: dict[str, Any]) -> Table:
    seconds = {**figures["seconds"], "sum": figures["seconds_sum_of_parts"]}
    rounds = figures["seconds"][TOTAL]["rounds"]
    table = Table(title=f"Time of a step ({rounds} timed)", title_justify="left")
    table.add_column("part", no_wrap=True)
    for column in ("minimum ms", "median ms", "median µs/atom"):
        table.add_column(column, justify="right")
    table.add_column("meaning")
    for name in (SEARCH, *STEP_PARTS, "sum", TOTAL):
        low, middle = seconds[name]["minimum"], seconds[name]["median"]
        per_atom = f"{middle / figures['atoms'] * 1e6:.3f}"
        section = name in (SEARCH, STEP_PARTS[-1])
        table.add_row(
            name, f"{low * 1e3:.3f}", f"{middle * 1e3:.3f}", per_atom, MEANING[name], end_section=section
        )
    return table


def _summary(figures: dict[str, Any]) -> Table:
    table = _pairs("Step")
    table.add_row("MD", f"{figures['ns_per_day']:.3g} ns/day at 1 fs per step")
    peak = figures["peak_bytes"]
    memory = "not measured: the system does not report it"
    if peak is not None:
        memory = (
            f"{peak / figures['atoms'] / 1024:.2f} KiB per atom, {peak / 2**20:.1f} MiB in all at the peak"
        )
        if peak > 0:
            memory += f": {figures['atoms'] / peak * 2**30:,.0f} atoms per GiB"
    table.add_row("memory", memory)
    share = figures["fma_per_atom_convolutions"] / figures["fma_per_atom"] if figures["fma_per_atom"] else 0.0
    fma = f"{figures['fma_per_atom']:,.0f} fused multiply-adds per atom"
    table.add_row("work", f"{fma}, {share:.0%} of them in convolutions")
    rate, peak_rate = figures["gfma_per_second"], figures["peak_gfma_per_second"]
    of_peak = f", {rate / peak_rate:.1%} of the measured peak of {peak_rate:.4g}" if peak_rate else ""
    table.add_row("rate", f"{rate:.3g} GFMA/s{of_peak}")
    return table


def _kernels(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Convolutions alone (medians; at best: the minimum)", title_justify="left")
    table.add_column("convolution")
    table.add_column("pass")
    for column in ("ms", "GFMA/s", "of peak", "at best"):
        table.add_column(column, justify="right")
    for row in rows:
        for which in ("forward", "backward", "both"):
            one = row[which]
            table.add_row(
                row["name"] if which == "forward" else "",
                which,
                f"{one['median'] * 1e3:.3f}",
                f"{one['gfma_per_second']:.1f}",
                f"{one['fraction_of_peak']:.1%}",
                f"{one['fraction_of_peak_at_best']:.1%}",
                end_section=which == "both",
            )
    return table


def _pairs(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table
