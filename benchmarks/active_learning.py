"""Compare chosen with random training frames: the error on a test set over rounds of labelling.

    python -m benchmarks.active_learning SET DATA [--seeds 1 2 3] [--rounds 4] [--first 40] [--each 15] [--minutes 1]

SET and DATA are those of benchmarks.accuracy. Both sides start from the same random frames of the training set; in each
round, one side adds frames by `equipot select` with the model of the round before, the other adds random ones. Every
round trains a new network with the defaults.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import ase.io
import yaml
from ase import Atoms
from rich.console import Console

from benchmarks import command
from benchmarks.accuracy.sets import CUTOFF, SETS, split
from benchmarks.command import BenchmarkError
from benchmarks.tables import markdown_table, rich_table
from equipot.speed.machine import processor

SIDES = ("select", "random")


def arguments() -> argparse.Namespace:
    parser = command.parser("active_learning", __doc__)
    add = parser.add_argument
    add("set", choices=sorted(SETS))
    add("data", type=Path, help="folder of the public sets")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3])
    add("--rounds", type=command.count, default=4)
    add("--first", type=command.count, default=40, help="frames at the start")
    add("--each", type=command.count, default=15, help="frames of a round")
    add("--minutes", type=command.positive, default=1.0, help="of each training")
    return parser.parse_args()


def equipot(*arguments: object) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "equipot.cli.main", *map(str, arguments)], capture_output=True, text=True
    )
    if run.returncode != 0:
        raise BenchmarkError(f"equipot {arguments[0]}: {run.stderr.strip().splitlines()[-1]}")


def error_of(folder: Path, frames: list[Atoms], test: Path, minutes: float, seed: int) -> float:
    """Train on frames in a folder; return the force RMSE on the test set in meV/Å."""
    folder.mkdir(parents=True)
    ase.io.write(folder / "train.extxyz", frames)
    config = {
        "data": {"train": str(folder / "train.extxyz")},
        "model": {"cutoff": CUTOFF},
        "training": {"max_time": 60 * minutes, "seed": seed},
        "output": str(folder),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    equipot("train", folder / "config.yaml")
    equipot("evaluate", folder / "model.pt", test, "-o", folder / "test")
    errors = json.loads((folder / "test/evaluation.json").read_text())
    return 1000 * float(errors["forces"]["rmse"])


def chosen(folder: Path, pool: list[Atoms], n: int) -> list[int]:
    """Return the numbers of the frames that `equipot select` takes from a pool."""
    ase.io.write(folder / "pool.extxyz", pool)
    equipot("select", folder / "model.pt", folder / "pool.extxyz", "-n", n, "-o", folder / "chosen.extxyz")
    taken = ase.io.read(folder / "chosen.extxyz", ":")
    return [int(atoms.info["source"].rpartition("#")[2]) for atoms in taken]


def learn(args: argparse.Namespace, side: str, seed: int, scratch: Path, console: Console) -> list[float]:
    """Return the error after each round of one side."""
    frames = [a for a in split(SETS[args.set], args.data, 1).train if len(a) > 1]
    rng = random.Random(seed)
    rng.shuffle(frames)
    train, pool = frames[: args.first], frames[args.first :]
    errors = []
    for number in range(args.rounds + 1):
        folder = scratch / f"{side}-{seed}-{number}"
        errors.append(error_of(folder, train, scratch / "test.extxyz", args.minutes, seed))
        console.print(
            f"{args.set}, seed {seed}, {side}, {len(train)} frames: {errors[-1]:.1f} meV/Å", markup=False
        )
        if number < args.rounds:
            size = min(args.each, len(pool))
            new = chosen(folder, pool, size) if side == "select" else rng.sample(range(len(pool)), size)
            train = train + [pool[k] for k in new]
            pool = [a for k, a in enumerate(pool) if k not in set(new)]
    return errors


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Print the table, and the same as Markdown."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        ase.io.write(scratch / "test.extxyz", split(SETS[args.set], args.data, 1).test)
        for seed in args.seeds:
            for side in SIDES:
                errors = learn(args, side, seed, scratch, console)
                by_size = {
                    f"{args.first + k * args.each} frames": f"{error:.1f}" for k, error in enumerate(errors)
                }
                rows.append({"seed": str(seed), "frames by": side, **by_size})
    title = f"{args.set}: force RMSE (meV/Å) on the test set, {args.minutes:g} minutes each, {processor()}"
    console.print(rich_table(title, rows, ("frames by",)))
    print(markdown_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(command.run("active_learning", arguments(), benchmark))
