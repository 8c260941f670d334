"""Tables and plot of the learning curves."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, NullLocator, ScalarFormatter
from rich.table import Table

from benchmarks.accuracy.sets import SETS
from benchmarks.tables import rich_table

from .curves import CURVES, slope


def table(name: str, points: list[dict[str, Any]]) -> Table:
    sizes = sorted({p["frames"] for p in points})
    rows = []
    for l_max in sorted({p["l_max"] for p in points}):
        curve = {p["frames"]: p for p in points if p["l_max"] == l_max}
        first = next(iter(curve.values()))
        row = {"l_max": str(l_max), "channels": " ".join(map(str, first["channels"]))}
        row["weights"] = str(first["weights"])
        row |= {str(n): f"{curve[n]['forces']:.1f}" if n in curve else "" for n in sizes}
        forces = [p["forces"] for p in curve.values()]
        row["slope"] = f"{slope(list(curve), forces):.2f}" if len(curve) > 1 else "–"
        rows.append(row)
    metric = points[0]["metric"].upper()
    return rich_table(f"{SETS[name].title.split(',')[0]}: test force {metric} (meV/Å)", rows)


def plot(points: list[dict[str, Any]], path: Path) -> None:
    names = [n for n in CURVES if any(p["set"] == n for p in points)]
    figure = Figure(figsize=(4.2 * len(names), 3.8))
    axes = figure.subplots(1, len(names), squeeze=False)
    for axis, name in zip(axes[0], names):
        of_set = [p for p in points if p["set"] == name]
        for l_max in sorted({p["l_max"] for p in of_set}):
            curve = sorted((p["frames"], p["forces"]) for p in of_set if p["l_max"] == l_max)
            axis.loglog(*zip(*curve), "o-", ms=4, color=f"C{l_max}", label=f"$l_{{max}}$ = {l_max}")
        for method, (n, error) in CURVES[name].others.items():
            axis.loglog(n, error, "s", color="0.4", ms=4)
            label = method.split(",")[0]
            axis.annotate(label, (n, error), (-6, -3), textcoords="offset points", fontsize=8, ha="right")
        sizes = sorted({p["frames"] for p in of_set})
        axis.set_xticks(sizes, [str(n) for n in sizes])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlabel("training frames")
        axis.set_ylabel(f"force {of_set[0]['metric'].upper()} (meV/Å)")
        axis.set_title(SETS[name].title.split(",")[0], fontsize=10)
        axis.grid(True, which="both", lw=0.3)
        axis.yaxis.set_major_formatter(ScalarFormatter())
        axis.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncol=4, fontsize=9)
    figure.savefig(path, dpi=150)
