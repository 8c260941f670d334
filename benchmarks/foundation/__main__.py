"""Compare converted models with the calculators of their own packages: differences, and speed.

    python -m benchmarks.foundation --sevenn-python ENV/bin/python [--models …] [--no-speed] [--json FILE]
    python -m benchmarks.foundation --family nequix --nequix-python ENV/bin/python [--models FILE.nqx …]

The packages need environments of their own. Differences are between equal precisions: both calculators in float32, as
they are used, and both in float64, for which SevenNet's calculator gets weights, edges and one-hot vectors of float64,
and Nequix's network runs in jax's double precision. The structures hold all elements: strained and rattled crystals,
cells of one atom, surfaces, molecules, liquids, alloys, isolated atoms and dimers. Where float32 misses a limit, the
distance of either side from float64 shows which is less accurate. The exit code is 1 if a limit is missed.

For the speed both run in worker processes with the same number of threads and take turns, so that a busy machine slows
both; give it no other work. A step moves all atoms a little and computes energy, forces and stress, as in molecular
dynamics; the neighbour search is part of it.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import command
from benchmarks.peers.worker import Worker
from equipot.model_file import read_metadata

from . import measure, report
from .families import FAMILIES
from .structures import TIMED, structures, timed

FEWEST = 40
Row = dict[str, Any]


def arguments() -> argparse.Namespace:
    parser = command.parser("foundation", __doc__)
    add, count = parser.add_argument, command.count
    add("--family", choices=list(FAMILIES), default="sevenn", help="package of the models (default sevenn)")
    for family in FAMILIES.values():
        family.peer.add_option(parser, "required for its family")
    add("--models", nargs="+", metavar="MODEL", help="names of models, or files; default all of the family")
    add(
        "--structures",
        type=count,
        default=84,
        help=f"number to compare (default 84, which have all elements; at least {FEWEST}, which have every kind)",
    )
    add("--no-speed", action="store_true", help="measure differences only")
    add("--no-differences", action="store_true", help="measure speed only")
    add("--timed", nargs="+", choices=list(TIMED), default=list(TIMED), help="structures (default all)")
    add("--rounds", type=count, default=5, help="turns of either side (default 5)")
    add("--round-seconds", type=command.positive, default=1.0, help="length of a turn (default 1)")
    add("--threads", type=count, default=min(2, command.cores()), help="of both sides (default 2)")
    add("--work", type=Path, default=Path("runs/foundation"), help="converted models, results and logs")
    add("--reuse", action="store_true", help="use converted models that are in --work already")
    add("--json", type=Path, help="file for the rows")
    add("--markdown", action="store_true", help="print tables for the README")
    args = parser.parse_args()
    if args.structures < FEWEST:
        parser.error(f"--structures {args.structures}: expected {FEWEST} or more, which have every kind")
    known = list(FAMILIES[args.family].models)
    for name in args.models or ():
        if name not in known and not Path(name).is_file():
            parser.error(f"--models {name}: no such file; expected a file, or of {', '.join(known)}")
    args.models = [str(Path(m).resolve()) if Path(m).is_file() else m for m in args.models or known]
    return args


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Measure what the options select, printing every table when it is complete."""
    family = FAMILIES[args.family]
    package = family.peer.package
    python = family.peer.check(getattr(args, f"{package}_python"))
    results: dict[str, Any] = {"differences": [], "speed": []}
    with (
        console.status("starting both sides") as status,
        _worker(args, package, python) as peer,
        _worker(args, "equipot", Path(sys.executable)) as equipot,
    ):
        versions = versions_of(equipot.versions, family.title, peer.versions)
        results["header"] = {**command.circumstances(), "threads": args.threads, "versions": versions}
        command.print_lines(console, results["header"])
        sides = measure.Sides(
            family, {"equipot": equipot, "peer": peer}, args.work, args.reuse, status.update
        )
        for task, measured in tasks(args, sides).items():
            for name in args.models:
                rows = measured(name)
                results[task] += rows
                console.print(report.table(task, rows))
                for sentence in report.sentences(rows) if task == "differences" else ():
                    console.print(sentence, markup=False, highlight=False, soft_wrap=True)
                command.write_json(args.json, results)
    if args.markdown:
        for task in ("differences", "speed"):
            if results[task]:
                text = report.markdown(task, results[task])
                console.print(text, markup=False, highlight=False, soft_wrap=True)
    return 0 if all(row[dtype]["met"] for row in results["differences"] for dtype in measure.DTYPES) else 1


def _worker(args: argparse.Namespace, package: str, python: Path) -> Worker:
    log = args.work / f"{package}.log"
    return Worker(python, f"benchmarks.foundation.{package}_worker", args.threads, log)


def tasks(args: argparse.Namespace, sides: measure.Sides) -> dict[str, Callable[[str], list[Row]]]:
    """Return the selected measurements: functions from the name of a model to rows."""

    def compare(name: str) -> list[Row]:
        type_names = read_metadata(sides.model(name, "float32")).type_names
        return measure.compare(sides, name, structures(args.structures, type_names))

    def speed(name: str) -> list[Row]:
        return measure.speed(sides, name, timed(args.timed), args.rounds, args.round_seconds)

    selected: dict[str, Callable[[str], list[Row]]] = {}
    if not args.no_differences:
        selected["differences"] = compare
    if not args.no_speed:
        selected["speed"] = speed
    return selected


def versions_of(equipot: dict[str, str], title: str, peer: dict[str, str]) -> str:
    (_, own), *others = peer.items()
    return (
        f"equipot {equipot['equipot']} (torch {equipot['torch']}, kernels {equipot['kernels']}), "
        f"{title} {own} ({', '.join(f'{name} {number}' for name, number in others)})"
    )


if __name__ == "__main__":
    sys.exit(command.run("foundation", arguments(), benchmark))
