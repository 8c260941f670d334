"""Draw the picture of the README from the results of two benchmarks: speed beside a peer, and accuracy against time.

    python -m benchmarks.speed --nequip-python ENV/bin/python --tasks inference --json speed.json
    python -m benchmarks.accuracy 3bpa --data FOLDER --minutes 20 --output runs/accuracy/3bpa-20    # and other sets
    python -m benchmarks.picture --speed speed.json --accuracy runs/accuracy/* -o docs/pictures/measured.svg

Left: time per atom for energy, forces and virial, of networks of the same size, beside the fastest mode of nequip.
Right: the force error on the test set, divided by the best published one, against the processor time of the training.
Results of one set that were trained for different times are joined by a line.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from rich.console import Console

from benchmarks import command
from benchmarks.accuracy.published import PUBLISHED

OURS, PEER = "#2f6db3", "#b9b9b9"


class Bar(NamedTuple):
    """Times of networks of one size, in µs per atom."""

    preset: str
    equipot: float
    nequip: float


class Point(NamedTuple):
    """A training."""

    minutes: float  # of one processor
    error: float  # of the forces, in units of the best published one


def bars(rows: list[dict[str, Any]]) -> list[Bar]:
    """Return the times of each preset, with the fastest mode of nequip's own network."""
    best = [r for r in rows if r["task"] == "inference" and r.get("best")]
    fastest: dict[str, Bar] = {}
    for row in best:
        bar = Bar(row["preset"], row["equipot_us_per_atom"], row["peer_us_per_atom"])
        if row["preset"] not in fastest or bar.nequip < fastest[row["preset"]].nequip:
            fastest[row["preset"]] = bar
    if not fastest:
        raise command.BenchmarkError(
            "the results of --speed have no inference beside nequip; run it with --nequip-python"
        )
    return list(fastest.values())


def points(results: list[dict[str, Any]]) -> dict[str, list[Point]]:
    """Return the trainings of each set by its title, the shortest one first."""
    of_set: dict[str, list[Point]] = defaultdict(list)
    for result in results:
        published = [forces for _, forces in PUBLISHED[result["set"]].errors["all"].values() if forces]
        error = result["errors"]["all"][1] / min(published)
        of_set[result["title"]].append(Point(result["cpu_minutes"], error))
    return {title: sorted(trainings) for title, trainings in of_set.items()}


def draw_speed(axes: Axes, of_presets: list[Bar]) -> None:
    """Draw two points for each preset, joined by a line with the ratio of the times."""
    heights = range(len(of_presets))
    axes.hlines(
        heights, [b.equipot for b in of_presets], [b.nequip for b in of_presets], color="#ccc", zorder=0
    )
    axes.plot([b.equipot for b in of_presets], heights, "o", ms=9, color=OURS, label="equipot")
    axes.plot([b.nequip for b in of_presets], heights, "s", ms=8, color=PEER, label="nequip, fastest mode")
    for k, bar in enumerate(of_presets):
        axes.text(
            (bar.equipot * bar.nequip) ** 0.5,
            k - 0.08,
            f"× {bar.nequip / bar.equipot:.2g}",
            ha="center",
            va="bottom",
        )
    axes.set(xscale="log", xlabel="µs per atom for energy, forces and virial", title="Speed")
    axes.set_yticks(heights, [f"size {bar.preset}" for bar in of_presets])
    _plain_ticks(axes)
    axes.set_xlim(min(b.equipot for b in of_presets) / 2, 2 * max(b.nequip for b in of_presets))
    axes.set_ylim(len(of_presets) - 0.3, -0.7)
    axes.legend(frameon=False, fontsize=9, loc="lower left")


def draw_accuracy(axes: Axes, of_sets: dict[str, list[Point]]) -> None:
    """Draw a line for each set, and one at the best published errors."""
    for title, trainings in of_sets.items():
        axes.plot([p.minutes for p in trainings], [p.error for p in trainings], "o-", label=title)
    every = [point for trainings in of_sets.values() for point in trainings]
    axes.axhline(1, color="#777", lw=1, ls="--")
    axes.annotate(
        "best published", (0.99, 1), xycoords=("axes fraction", "data"), ha="right", va="top", fontsize=9
    )
    axes.set(xscale="log", xlabel="processor minutes of training", title="Accuracy against time")
    axes.set_xlim(min(p.minutes for p in every) / 1.5, 1.5 * max(p.minutes for p in every))
    axes.set(ylabel="error of forces / best published", ylim=(0, 1.2 * max(1.0, *(p.error for p in every))))
    _plain_ticks(axes)
    axes.legend(frameon=False, fontsize=9, loc="lower left")


def _plain_ticks(axes: Axes) -> None:
    """Label a logarithmic axis at 1, 2 and 5 times powers of ten."""
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def draw(of_presets: list[Bar], of_sets: dict[str, list[Point]], file: Path) -> None:
    """Write the picture as SVG; its background is opaque, so that it is readable on dark pages too."""
    figure = Figure(figsize=(10, 3.8), layout="constrained", facecolor="#fcfcfa")
    FigureCanvasSVG(figure)
    left, right = figure.subplots(1, 2)
    draw_speed(left, of_presets)
    draw_accuracy(right, of_sets)
    for axes in (left, right):
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
    # Text stays text, and the same figures give the same file.
    with matplotlib.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "equipot", "font.family": "sans-serif"}
    ):
        figure.savefig(file, format="svg", metadata={"Date": None})


def arguments() -> argparse.Namespace:
    parser = command.parser("picture", __doc__)
    parser.add_argument(
        "--speed", type=Path, required=True, metavar="FILE", help="of benchmarks.speed --json"
    )
    parser.add_argument(
        "--accuracy", type=Path, nargs="+", required=True, metavar="DIR", help="of benchmarks.accuracy"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("docs/pictures/measured.svg"), metavar="FILE"
    )
    return parser.parse_args()


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Draw the picture and print the numbers in it."""
    results = [json.loads((folder / "result.json").read_text()) for folder in args.accuracy]
    of_presets, of_sets = bars(json.loads(args.speed.read_text())), points(results)
    draw(of_presets, of_sets, args.output)
    for bar in of_presets:
        console.print(f"{bar.preset}: {bar.equipot:.3g} and {bar.nequip:.3g} µs per atom")
    for title, trainings in of_sets.items():
        console.print(f"{title}: " + ", ".join(f"{p.error:.2f} after {p.minutes:.3g} min" for p in trainings))
    console.print(f"written to {args.output}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(command.run("picture", arguments(), benchmark))
