"""Train on a public set for a given time and print the test errors beside the published ones.

    python -m benchmarks.accuracy 3bpa --data FOLDER --minutes 120 [--threads 2] [--seed 1] [--output DIR] [key=value …]
    python -m benchmarks.accuracy 3bpa --data FOLDER --minutes 240 --resume       # continue with more time
    python -m benchmarks.accuracy --table runs/accuracy/*                         # all results as one Markdown text

FOLDER holds the sets as extxyz files, see `sets.py`. The config has data, cutoff, time, seed and threads, and all other
keys have the defaults of `equipot train`; key=value changes them, as there. A GPU is used if there is one, and the
result names it; training.accelerator=gpu insists on one. DIR gets the training, result.json and result.md.
"""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import command
from equipot.training.checkpoints import potential_of, read_checkpoint

from .report import markdown, table
from .result import collect
from .sets import SETS, config, split, write
from .training import train


def arguments() -> argparse.Namespace:
    parser = command.parser("accuracy", __doc__)
    add, count = parser.add_argument, command.count
    add("set", nargs="?", choices=list(SETS), help="the public set")
    add("--data", type=Path, metavar="FOLDER", help="folder of the sets")
    add("--minutes", type=command.positive, default=60.0, help="wall-clock time of training (default 60)")
    add("--threads", type=count, default=1, help="of the training (default 1)")
    add("--seed", type=int, default=1, help="of weights, order and split (default 1)")
    add("--resume", action="store_true", help="continue; with more --minutes, beyond the first end")
    add("--output", type=Path, metavar="DIR", help="default: runs/accuracy/SET")
    add("--table", nargs="+", type=Path, metavar="DIR", help="print results of earlier runs as Markdown")
    add("overrides", nargs="*", default=[], metavar="key=value", help="as of equipot train")
    args = parser.parse_intermixed_args()
    if not args.table and (args.set is None or args.data is None):
        parser.error("expected a set and --data FOLDER, or --table")
    return args


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Train and print the test errors, or print earlier results."""
    if args.table:
        for folder in args.table:
            print(markdown(json.loads((folder / "result.json").read_text())))
        return 0
    dataset = SETS[args.set]
    output = args.output or Path("runs/accuracy") / args.set
    data = write(split(dataset, args.data, args.seed), output / "data")
    settings = {"max_time": 60 * args.minutes, "seed": args.seed, "threads": args.threads}
    cost = train(config(data, output, **settings), args.overrides, args.resume)
    result = collect(
        args.set,
        dataset,
        output / "model.pt",
        data["test"],
        cost,
        threads=args.threads,
        seed=args.seed,
        weights=n_weights(output),
        overrides=args.overrides,
    )
    command.write_json(output / "result.json", result)
    (output / "result.md").write_text(markdown(result))
    console.print(table(result))
    return 0


def n_weights(output: Path) -> int:
    """Return the number of trained weights; the model file has splines in place of the radial networks."""
    potential = potential_of(read_checkpoint(output / "checkpoints" / "best.ckpt"))
    return sum(p.numel() for p in potential.parameters())


if __name__ == "__main__":
    sys.exit(command.run("accuracy", arguments(), benchmark))
