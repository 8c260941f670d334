"""Test force error against the number of training frames, for l_max 0 to 3 at equal numbers of weights.

    python benchmarks/accuracy/learning_curve.py --data FOLDER [--sets si ethanol water] [--jobs 2] [--plot FILE]

A crystal, a molecule and a liquid. Every point is one training with the same number of steps; smaller choices of frames
are parts of larger ones, and test and validation frames are the same. Points are kept as JSON in the output folder, and
those that exist are not trained again. Prints the slopes d log(error) / d log(frames); the plot has published errors of
other methods beside ours where there are some.
"""

import argparse
import bisect
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.ticker
import numpy as np
import yaml
from published import PUBLISHED
from result import errors
from rich.console import Console
from rich.table import Table
from sets import SETS, config, split, write

from equipot.config import ModelConfig
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Channels of higher l in proportion to the scalars'.
SHARES = [1.0, 0.5, 0.35, 0.25]
N_LAYERS, RADIAL_WIDTH = 3, 32


@dataclass(frozen=True)
class Curve:
    """What is drawn of a set: sizes, steps of each training, frames in a batch, and where others stand."""

    sizes: list[int]
    steps: int
    batch_size: int
    others: dict[str, tuple[int, float]]  # frames and force error (meV/Å)
    elements: list[str]


def _others(name: str, frames: int, which: Sequence[str]) -> dict[str, tuple[int, float]]:
    known = PUBLISHED[name].errors["all"]
    return {method: (frames, forces) for method in which if (forces := known[method][1]) is not None}


CURVES = {
    "si": Curve([12, 25, 50, 100, 200], 1000, 5, _others("si", 214, ["MTP", "SNAP", "NNP"]), ["Si"]),
    "ethanol": Curve(
        [25, 50, 100, 200, 400, 900],
        1500,
        5,
        {
            "NequIP": (950, PUBLISHED["ethanol"].errors["all"]["NequIP"][1] or 0.0),
            "NequIP, 50": (50, PUBLISHED["ethanol50"].errors["all"]["NequIP"][1] or 0.0),
        },
        ["H", "C", "O"],
    ),
    "water": Curve([4, 8, 15, 30, 60, 120], 750, 1, _others("water", 133, ["NequIP"]), ["H", "O"]),
}


def features(l_max: int, n_weights: int, elements: list[str]) -> list[int]:
    """Channels of l = 0 to l_max whose network has as nearly `n_weights` weights as can be."""

    def of(n: int) -> list[int]:
        return [max(1, round(n * share)) for share in SHARES[: l_max + 1]]

    def excess(n: int) -> int:
        return count(l_max, of(n), elements) - n_weights

    larger = bisect.bisect_left(range(1024), 0, lo=1, key=excess)
    return of(min((larger - 1, larger), key=lambda n: abs(excess(n))))


def count(l_max: int, channels: list[int], elements: list[str]) -> int:
    """Weights of a network."""
    model = ModelConfig(**network(l_max, channels))
    ones = [1.0] * len(elements)
    spec = PotentialSpec.from_config(model, elements, e0=ones, scales=ones, neighbours=ones)
    with_weights = Potential(spec)
    return sum(p.numel() for p in with_weights.parameters())


def network(l_max: int, channels: list[int]) -> dict[str, Any]:
    """The model section of a config."""
    return {
        "n_layers": N_LAYERS,
        "l_max": l_max,
        "features": channels,
        "radial_width": RADIAL_WIDTH,
        "cutoff": 5.0,
    }


@dataclass(frozen=True)
class Point:
    set: str
    l_max: int
    n_frames: int
    channels: list[int]

    def path(self, output: Path) -> Path:
        return output / f"{self.set}-l{self.l_max}-{self.n_frames}"


def train(point: Point, args: argparse.Namespace) -> dict[str, Any]:
    """Train one point on one thread; its errors, from the file where it was trained before."""
    folder = point.path(args.output)
    if (folder / "point.json").exists():
        return json.loads((folder / "point.json").read_text())
    curve, which = CURVES[point.set], SETS[point.set]
    data = write(split(which, args.data, args.seed, point.n_frames), folder / "data")
    steps = args.steps or curve.steps
    batch = min(curve.batch_size, point.n_frames)
    values = config(
        which,
        data,
        folder,
        max_epochs=max(1, round(steps / -(-point.n_frames // batch))),
        batch_size=batch,
        schedule="cosine",
        seed=args.seed,
        threads=1,
    )
    values["model"] = network(point.l_max, point.channels)
    (folder / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    command = [sys.executable, "-m", "equipot.cli.main", "train", str(folder / "config.yaml"), "--overwrite"]
    with open(folder / "log.txt", "w") as log:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment).returncode
    if code:
        raise SystemExit(f"{folder / 'log.txt'}: the training ended with status {code}")
    metric = PUBLISHED[point.set].metric
    energy, forces, _ = errors(folder / "model.pt", data["test"], metric, PUBLISHED[point.set].energy)["all"]
    found = {
        "set": point.set,
        "l_max": point.l_max,
        "frames": point.n_frames,
        "channels": point.channels,
        "weights": count(point.l_max, point.channels, curve.elements),
        "metric": metric,
        "energy": energy,
        "forces": forces,
        "steps": steps,
        "seed": args.seed,
    }
    (folder / "point.json").write_text(json.dumps(found) + "\n")
    return found


def slope(frames: Sequence[float], error: Sequence[float]) -> float:
    """d log(error) / d log(frames), by least squares."""
    return float(np.polyfit(np.log(frames), np.log(error), 1)[0])


def table(name: str, points: list[dict[str, Any]]) -> Table:
    sizes = sorted({p["frames"] for p in points})
    result = Table(
        title=f"{SETS[name].title.split(',')[0]}: test force {points[0]['metric'].upper()} (meV/Å)"
    )
    for head in ["l_max", "channels", "weights", *map(str, sizes), "slope"]:
        result.add_column(head, justify="right")
    for l_max in sorted({p["l_max"] for p in points}):
        mine = {p["frames"]: p for p in points if p["l_max"] == l_max}
        first = next(iter(mine.values()))
        cells = [f"{mine[n]['forces']:.1f}" if n in mine else "" for n in sizes]
        gradient = slope(list(mine), [p["forces"] for p in mine.values()]) if len(mine) > 1 else float("nan")
        channels = " ".join(map(str, first["channels"]))
        result.add_row(str(l_max), channels, str(first["weights"]), *cells, f"{gradient:.2f}")
    return result


def plot(points: list[dict[str, Any]], path: Path) -> None:
    names = [n for n in CURVES if any(p["set"] == n for p in points)]
    figure, axes = plt.subplots(1, len(names), figsize=(4.2 * len(names), 3.8), squeeze=False)
    for axis, name in zip(axes[0], names):
        mine = [p for p in points if p["set"] == name]
        for l_max in sorted({p["l_max"] for p in mine}):
            curve = sorted((p["frames"], p["forces"]) for p in mine if p["l_max"] == l_max)
            axis.loglog(*zip(*curve), "o-", ms=4, color=f"C{l_max}", label=f"$l_{{max}}$ = {l_max}")
        for method, (n, error) in CURVES[name].others.items():
            axis.loglog(n, error, "s", color="0.4", ms=4)
            label = method.split(",")[0]
            axis.annotate(label, (n, error), (-6, -3), textcoords="offset points", fontsize=8, ha="right")
        sizes = sorted({p["frames"] for p in mine})
        axis.set_xticks(sizes, [str(n) for n in sizes])
        axis.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axis.set_xlabel("training frames")
        axis.set_ylabel(f"force {mine[0]['metric'].upper()} (meV/Å)")
        axis.set_title(SETS[name].title.split(",")[0], fontsize=10)
        axis.grid(True, which="both", lw=0.3)
        axis.yaxis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
        axis.yaxis.set_minor_formatter(matplotlib.ticker.LogFormatter(minor_thresholds=(2, 0.5)))
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncol=4, fontsize=9)
    figure.savefig(path, dpi=150)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FOLDER", help="where the sets are")
    add("--sets", nargs="+", choices=list(CURVES), default=list(CURVES))
    add("--l", nargs="+", type=int, choices=range(4), default=[0, 1, 2, 3], dest="orders")
    add("--sizes", nargs="+", type=int, help="numbers of frames (default: of each set its own)")
    add("--steps", type=int, help="of each training (default: of each set its own)")
    add("--weights", type=int, default=60_000, help="of each network, nearly (default 60000)")
    add("--seed", type=int, default=1)
    add("--jobs", type=int, default=1, help="trainings at the same time, on one thread each")
    add("--output", type=Path, default=Path("runs/learning-curve"), metavar="DIR")
    add("--plot", type=Path, metavar="FILE", help="default: learning-curve.png in the output folder")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    console = Console()
    points = [
        Point(name, l_max, n, features(l_max, args.weights, CURVES[name].elements))
        for name in args.sets
        for n in args.sizes or CURVES[name].sizes
        for l_max in args.orders
    ]
    with ThreadPoolExecutor(args.jobs) as pool:
        found = []
        for point in pool.map(lambda p: train(p, args), points):
            console.print(
                f"{point['set']}, l_max {point['l_max']}, {point['frames']} frames: {point['forces']:.1f} meV/Å"
            )
            found.append(point)
    for name in args.sets:
        console.print(table(name, [p for p in found if p["set"] == name]))
    plot(found, args.plot or args.output / "learning-curve.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
