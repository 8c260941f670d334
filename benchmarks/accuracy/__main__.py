"""Train on a public set for a given time and print the test errors beside the published ones.

    python benchmarks/accuracy 3bpa --data FOLDER --minutes 120 [--threads 2] [--seed 1] [--output DIR] [key=value …]
    python benchmarks/accuracy 3bpa --data FOLDER --minutes 240 --resume       # goes on with more time
    python benchmarks/accuracy --table runs/accuracy/*                         # all results as one Markdown text

FOLDER holds the sets as extxyz files, see `sets.py`. The training is that of `equipot train`, with its defaults but for
the few settings in `sets.py`; key=value changes others, as there: training.accelerator=gpu insists on a GPU, which is
taken anyway where there is one, and the result names it. With --validation 0 all frames are fitted; then give
training.schedule=cosine, which needs none to choose an epoch by. DIR gets the training, result.json and result.md.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from fit import fit
from result import markdown, result, rich_table
from rich.console import Console
from sets import SETS, config, split, write

from equipot.errors import EquipotError


def main() -> int:
    args = arguments()
    console = Console()
    try:
        if args.table:
            for folder in args.table:
                print(markdown(json.loads((folder / "result.json").read_text())))
            return 0
        return run(args, console)
    except (EquipotError, OSError) as error:
        console.print(f"accuracy: {error}", style="red", markup=False, soft_wrap=True)
        return 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("set", nargs="?", choices=list(SETS), help="benchmark")
    add("--data", type=Path, metavar="FOLDER", help="where the sets are")
    add("--minutes", type=float, default=60.0, help="of training, wall clock (default 60)")
    add("--threads", type=int, default=1, help="of the training (default 1)")
    add("--seed", type=int, default=1, help="of weights, order and split (default 1)")
    add("--validation", type=int, metavar="N", help="frames to choose the best epoch by (default: the set's)")
    add("--resume", action="store_true", help="continue; with more --minutes, beyond the first end")
    add("--output", type=Path, metavar="DIR", help="default: runs/accuracy/SET")
    add("--table", nargs="+", type=Path, metavar="DIR", help="print results of earlier runs as Markdown")
    add("overrides", nargs="*", default=[], metavar="key=value", help="as of equipot train")
    args = parser.parse_intermixed_args()
    if not args.table and (args.set is None or args.data is None):
        parser.error("expected a set and --data FOLDER, or --table")
    return args


def run(args: argparse.Namespace, console: Console) -> int:
    which = SETS[args.set]
    if args.validation is not None:
        which = replace(which, n_validation=args.validation)
    output = args.output or Path("runs/accuracy") / args.set
    data = write(split(which, args.data, args.seed), output / "data")
    values = config(which, data, output, max_time=60 * args.minutes, seed=args.seed, threads=args.threads)
    cost = fit(values, args.overrides, args.resume)
    model = output / "model.pt"
    found = result(
        args.set,
        which,
        model,
        data["test"],
        cost,
        threads=args.threads,
        seed=args.seed,
        weights=n_weights(output),
        overrides=args.overrides,
    )
    (output / "result.json").write_text(json.dumps(found, indent=1) + "\n")
    (output / "result.md").write_text(markdown(found))
    console.print(rich_table(found))
    return 0


def n_weights(output: Path) -> int:
    """Number of trained weights; the model file holds splines in their place."""
    from equipot.training.checkpoints import potential_of, read_checkpoint

    potential = potential_of(read_checkpoint(output / "checkpoints" / "best.ckpt"))
    return sum(p.numel() for p in potential.parameters())


if __name__ == "__main__":
    sys.exit(main())
