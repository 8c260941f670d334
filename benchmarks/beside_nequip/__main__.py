"""Train equipot and nequip for the same wall-clock time on the same frames and cores: test errors of both.

    python -m benchmarks.beside_nequip si --data FOLDER --nequip-python ENV/bin/python [--minutes 20]

nequip needs an environment of its own. It has the settings of its tutorial (`tutorial.py`), and equipot has its
defaults. The errors of each are from its own code, on the same test file. --only trains one side; the table is printed
when both have results. The output folder holds both configs, both logs and beside.md.
"""

import argparse
import datetime
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import command
from benchmarks.accuracy.result import errors
from benchmarks.accuracy.sets import SETS, config, split, write
from benchmarks.accuracy.training import train
from benchmarks.peers.environment import NEQUIP
from benchmarks.tables import markdown_table, rich_table
from equipot.speed.machine import processor

from .training import train_nequip

Values = dict[str, Any]
VALIDATION = {"si": 11, "3bpa": 50, "acac": 50, "ethanol": 50}  # frames, the same for both sides
COLUMNS = {
    "forces (meV/Å)": "forces",
    "energy (meV/atom)": "energy",
    "epochs": "epochs",
    "minutes": "minutes",
    "processor minutes": "cpu_minutes",
    "threads": "threads",
}


def arguments() -> argparse.Namespace:
    parser = command.parser("beside_nequip", __doc__)
    add = parser.add_argument
    add("set", choices=list(VALIDATION))
    add("--data", type=Path, required=True, metavar="FOLDER", help="folder of the sets")
    add("--minutes", type=command.positive, default=20.0, help="of training of each side (default 20)")
    add("--threads", type=command.count, default=1, help="of each side (default 1)")
    add("--seed", type=int, default=1, help="of weights, order and split (default 1)")
    only_help = "train one side; start the other at the same time if there is a core for each"
    add("--only", choices=["equipot", "nequip"], help=only_help)
    NEQUIP.add_option(parser, "required unless --only equipot")
    add("--output", type=Path, metavar="DIR", help="default: runs/beside-nequip/SET")
    return parser.parse_args()


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Train the sides that are selected, and print the table if both have results."""
    output: Path = args.output or Path("runs/beside-nequip") / args.set
    title = SETS[args.set].title
    nequip_python = None if args.only == "equipot" else NEQUIP.check(args.nequip_python)
    data = write(split(SETS[args.set], args.data, args.seed, VALIDATION[args.set]), output / "data")
    if nequip_python is not None:
        options = {"seconds": 60 * args.minutes, "threads": args.threads, "seed": args.seed}
        values = train_nequip(nequip_python, data, output / "nequip", **options)
        command.write_json(output / "nequip.json", summary(args, values))
    if args.only != "nequip":
        values = train_equipot(args, data, output / "equipot")
        command.write_json(output / "equipot.json", summary(args, values))
    files = {side: output / f"{side}.json" for side in ("equipot", "nequip")}
    for side, path in files.items():
        if not path.exists():
            console.print(f"no result of {side} yet: train it with --only {side}")
            return 0
    results = {side: json.loads(path.read_text()) for side, path in files.items()}
    (output / "beside.md").write_text(markdown(title, results))
    console.print(rich_table(f"{title}: test RMSE after the same time", rows(results), ("",)))
    return 0


def train_equipot(args: argparse.Namespace, data: dict[str, str], output: Path) -> Values:
    settings = {"max_time": 60 * args.minutes, "seed": args.seed, "threads": args.threads}
    cost = train(config(data, output, **settings), [], resume=False)
    energy, forces, _ = errors(output / "model.pt", data["test"], "rmse", "atom")["all"]
    with open(output / "metrics.csv") as file:
        epochs = sum(1 for _ in file) - 1
    return {"energy": energy or 0.0, "forces": forces or 0.0, "epochs": epochs, **cost}


def summary(args: argparse.Namespace, values: Values) -> Values:
    """Round energy, forces, minutes and cpu_minutes, and add how they were measured."""
    digits = {"energy": 3, "forces": 2, "minutes": 1, "cpu_minutes": 1, "epochs": 0}
    return {
        **{name: round(value, digits[name]) for name, value in values.items()},
        "limit": args.minutes,
        "threads": args.threads,
        "seed": args.seed,
        "machine": processor(),
        "date": datetime.date.today().isoformat(),
    }


def markdown(title: str, results: dict[str, Values]) -> str:
    first = next(iter(results.values()))
    heading = f"### {title}: test RMSE after {first['limit']:g} minutes of training each"
    end = f"{first['machine']}, {first['date']}, seed {first['seed']}."
    return "\n\n".join([heading, markdown_table(rows(results)), end]) + "\n"


def rows(results: dict[str, Values]) -> list[dict[str, str]]:
    return [
        {"": side, **{heading: f"{values[key]:g}" for heading, key in COLUMNS.items()}}
        for side, values in results.items()
    ]


if __name__ == "__main__":
    sys.exit(command.run("beside_nequip", arguments(), benchmark))
