"""Compare chosen with random training frames: the error on a test set over rounds of labelling.

    python -m benchmarks.active_learning SET DATA [--seeds 1 2 3] [--rounds 4] [--first 40] [--each 15]
        [--preset fast] [--steps 1000]

SET and DATA are those of benchmarks.accuracy. Both sides start from the same random frames of the training set, the
others are the pool. In each round, one side adds frames by `equipot select` with the model of the round before. The
other side adds as many random ones, and is trained once, at the end. Every training has a new network and the same
number of steps along one cosine, so the results do not depend on the load of the machine.
"""

import argparse
import json
import math
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
from equipot.presets import PRESETS
from equipot.speed.machine import processor

BATCH = 5  # frames


def arguments() -> argparse.Namespace:
    parser = command.parser("active_learning", __doc__)
    add = parser.add_argument
    add("set", choices=sorted(SETS))
    add("data", type=Path, help="folder of the public sets")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3])
    add("--rounds", type=command.count, default=4)
    add("--first", type=command.count, default=40, help="frames at the start")
    add("--each", type=command.count, default=15, help="frames of a round")
    add("--preset", choices=list(PRESETS), default="fast")
    add("--steps", type=command.count, default=1000, help="of each training, about")
    return parser.parse_args()


def equipot(*arguments: object) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "equipot.cli.main", *map(str, arguments)], capture_output=True, text=True
    )
    if run.returncode != 0:
        raise BenchmarkError(f"equipot {arguments[0]}: {run.stderr.strip().splitlines()[-1]}")


def error_of(folder: Path, frames: list[Atoms], test: Path, args: argparse.Namespace, seed: int) -> float:
    """Train on frames in a folder; return the force RMSE on the test set in meV/Å."""
    folder.mkdir(parents=True)
    ase.io.write(folder / "train.extxyz", frames)
    config = {
        "data": {"train": str(folder / "train.extxyz")},
        "model": {"cutoff": CUTOFF, "preset": args.preset},
        "training": {
            "max_epochs": math.ceil(args.steps * BATCH / len(frames)),
            "schedule": "cosine",
            "batch_size": BATCH,
            "seed": seed,
        },
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


def learn(args: argparse.Namespace, seed: int, scratch: Path, console: Console) -> dict[str, float]:
    """Return the errors by name of the column: after each round of chosen frames, and with random ones."""
    frames = [a for a in split(SETS[args.set], args.data, 1).train if len(a) > 1]
    rng = random.Random(seed)
    rng.shuffle(frames)
    test = scratch / "test.extxyz"
    train, pool = frames[: args.first], frames[args.first :]
    errors = {}

    def note(side: str, error: float, n: int) -> None:
        errors[f"{n} {side}"] = error
        console.print(f"{args.set}, seed {seed}, {n} {side} frames: {error:.1f} meV/Å", markup=False)

    for number in range(args.rounds + 1):
        folder = scratch / f"{seed}-{number}"
        note("first" if number == 0 else "chosen", error_of(folder, train, test, args, seed), len(train))
        if number < args.rounds:
            new = chosen(folder, pool, min(args.each, len(pool)))
            train = train + [pool[k] for k in new]
            pool = [a for k, a in enumerate(pool) if k not in set(new)]
    # The frames are in random order already.
    note("random", error_of(scratch / f"{seed}-random", frames[: len(train)], test, args, seed), len(train))
    return errors


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Print the table, and the same as Markdown."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        ase.io.write(scratch / "test.extxyz", split(SETS[args.set], args.data, 1).test)
        for seed in args.seeds:
            errors = learn(args, seed, scratch, console)
            *_, last, by_chance = errors.values()
            row = {"seed": str(seed), **{column: f"{error:.1f}" for column, error in errors.items()}}
            rows.append({**row, "chosen / random": f"{last / by_chance:.2f}"})
    title = f"{args.set}: force RMSE (meV/Å) on the test set, {args.preset}, {args.steps} steps each, {processor()}"
    console.print(rich_table(title, rows, ("seed",)))
    print(markdown_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(command.run("active_learning", arguments(), benchmark))
