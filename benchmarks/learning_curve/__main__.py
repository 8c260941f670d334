"""Measure the test force error against the number of training frames, for l_max 0 to 3 at equal numbers of weights.

    python -m benchmarks.learning_curve --data FOLDER [--sets si ethanol water] [--jobs 2] [--plot FILE]

A crystal, a molecule and a liquid. Every point is one training with the same number of steps; smaller choices of frames
are subsets of larger ones, and test and validation frames are the same. Points are stored as JSON in the output folder,
and those that exist are not trained again. Prints the slopes d log(error) / d log(frames); the plot also has published
errors of other methods.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from benchmarks import command

from .curves import CURVES, Point, features, train
from .report import plot, table


def arguments() -> argparse.Namespace:
    parser = command.parser("learning_curve", __doc__)
    add, count = parser.add_argument, command.count
    add("--data", type=Path, required=True, metavar="FOLDER", help="folder of the sets")
    add("--sets", nargs="+", choices=list(CURVES), default=list(CURVES), help="default all")
    add("--l", nargs="+", type=int, choices=range(4), default=[0, 1, 2, 3], dest="orders", help="l_max")
    add("--sizes", nargs="+", type=count, help="numbers of frames (default: each set's own)")
    add("--steps", type=count, help="of each training (default: each set's own)")
    add("--weights", type=count, default=60_000, help="of each network, nearly (default 60000)")
    add("--seed", type=int, default=1, help="of weights, order and split (default 1)")
    add("--jobs", type=count, default=1, help="trainings at the same time, on one thread each (default 1)")
    add("--output", type=Path, default=Path("runs/learning-curve"), metavar="DIR")
    add("--plot", type=Path, metavar="FILE", help="default: learning-curve.png in the output folder")
    return parser.parse_args()


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Train all points, print a table for each set, and draw the plot."""
    args.output.mkdir(parents=True, exist_ok=True)
    points = [
        Point(name, l_max, n, features(l_max, args.weights, CURVES[name].elements))
        for name in args.sets
        for n in args.sizes or CURVES[name].sizes
        for l_max in args.orders
    ]
    results = []
    with ThreadPoolExecutor(args.jobs) as pool:
        for point in pool.map(lambda p: train(p, args.data, args.output, args.seed, args.steps), points):
            errors = f"{point['frames']} frames: {point['forces']:.1f} meV/Å"
            console.print(f"{point['set']}, l_max {point['l_max']}, {errors}")
            results.append(point)
    for name in args.sets:
        console.print(table(name, [p for p in results if p["set"] == name]))
    plot(results, args.plot or args.output / "learning-curve.png")
    return 0


if __name__ == "__main__":
    sys.exit(command.run("learning_curve", arguments(), benchmark))
