"""Converted SevenNet models beside SevenNet's own calculator: differences, and speed.

    python benchmarks/foundation.py --sevenn-python ENV/bin/python [--models …] [--no-speed] [--json FILE]

SevenNet lives in an environment of its own, which EQUIPOT_SEVENN_PYTHON can name too:

    python -m venv ENV && ENV/bin/pip install torch==2.13.0 sevenn==0.13.0

Differences are between equal precisions: both calculators in float32, as they are used, and both in float64 (there
SevenNet's calculator is given weights, edges and one-hot vectors of float64; see `foundation/sevennet_calculator.py`).
The structures go through all elements: strained and rattled crystals, cells of one atom, surfaces, molecules, liquids,
alloys, atoms alone and in pairs. Where float32 misses a limit, both sides' distance from float64 tells which is off.

For the speed both run in processes of their own with the same number of threads and take turns, so that a busy machine
slows both; give it no other work. A step moves all atoms a little and asks for energy, forces and stress, as
molecular dynamics does; the search for neighbours is part of it.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foundation import measure, report
from foundation.client import Side, SideError
from foundation.structures import TIMED, structures, timed
from rich.console import Console
from speed import processor

from equipot.errors import EquipotError
from equipot.model_file.read import read_metadata

ENVIRONMENT = "python -m venv X && X/bin/pip install torch==2.13.0 sevenn==0.13.0"
VARIABLE = "EQUIPOT_SEVENN_PYTHON"
FEWEST = 40


def main() -> int:
    args = arguments()
    console = Console(width=None if sys.stdout.isatty() else 180)
    try:
        sentence = missing_peer(args.sevenn_python)
        if sentence:
            raise SideError(sentence)
        with console.status("starting both sides") as status:
            found = run(args, console, status.update)
    except (EquipotError, SideError) as error:
        console.print(f"equipot: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    return 0 if all(row[dtype]["met"] for row in found["differences"] for dtype in measure.DTYPES) else 1


def arguments() -> argparse.Namespace:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    named = os.environ.get(VARIABLE)
    add(
        "--sevenn-python",
        type=Path,
        default=Path(named) if named else None,
        help=f"interpreter of SevenNet's environment (default ${VARIABLE})",
    )
    models = list(measure.MODALITIES)
    add("--models", nargs="+", choices=models, default=models)
    add(
        "--structures",
        type=int,
        default=84,
        help=f"to compare on (default 84, which have all elements; {FEWEST} or more, which show every kind)",
    )
    add("--no-speed", action="store_true", help="differences only")
    add("--no-differences", action="store_true", help="speed only")
    add("--timed", nargs="+", choices=list(TIMED), default=list(TIMED), help="structures (default all)")
    add("--rounds", type=int, default=5, help="turns of either side (default 5)")
    add("--round-seconds", type=float, default=1.0, help="length of a turn (default 1)")
    add("--threads", type=int, default=min(2, cores), help="of both sides (default 2)")
    add("--work", type=Path, default=Path("runs/foundation"), help="converted models, results and logs")
    add("--reuse", action="store_true", help="take converted models that are in --work already")
    add("--json", type=Path, help="file for the rows")
    add("--markdown", action="store_true", help="print tables for the README")
    args = parser.parse_args()
    if args.structures < FEWEST:
        parser.error(f"--structures {args.structures}: expected {FEWEST} or more, which show every kind")
    return args


def run(args: argparse.Namespace, console: Console, say: Any) -> dict[str, Any]:
    """Measure what was asked for, printing tables as they are done."""
    found: dict[str, Any] = {"differences": [], "speed": []}
    log = args.work / "log.txt"
    with (
        Side(args.sevenn_python, "sevennet_side", args.threads, log) as sevennet,
        Side(Path(sys.executable), "equipot_side", args.threads, log) as equipot,
    ):
        found["header"] = header(args, equipot.versions, sevennet.versions)
        for name, value in found["header"].items():
            console.print(f"{name}: {value}", markup=False, highlight=False)
        bench = measure.Bench({"equipot": equipot, "sevennet": sevennet}, args.work, args.reuse, say)
        for task, measured in tasks(args, bench).items():
            for name in args.models:
                rows = measured(name)
                found[task] += rows
                console.print(report.table(task, rows))
                for sentence in report.sentences(rows) if task == "differences" else ():
                    console.print(sentence, markup=False, highlight=False, soft_wrap=True)
                if args.json:
                    args.json.parent.mkdir(parents=True, exist_ok=True)
                    args.json.write_text(json.dumps(found, indent=1) + "\n")
    if args.markdown:
        for task in ("differences", "speed"):
            if found[task]:
                console.print(
                    report.markdown(task, found[task]), markup=False, highlight=False, soft_wrap=True
                )
    return found


def tasks(args: argparse.Namespace, bench: measure.Bench) -> dict[str, Callable[[str], list[dict[str, Any]]]]:
    """What to measure: from the name of a model to rows."""

    def compare(name: str) -> list[dict[str, Any]]:
        known = read_metadata(bench.model(name, "float32")).type_names
        return measure.compare(bench, name, structures(args.structures, known))

    def speed(name: str) -> list[dict[str, Any]]:
        return measure.speed(bench, name, timed(args.timed), args.rounds, args.round_seconds)

    wanted: dict[str, Callable[[str], list[dict[str, Any]]]] = {}
    if not args.no_differences:
        wanted["differences"] = compare
    if not args.no_speed:
        wanted["speed"] = speed
    return wanted


def header(args: argparse.Namespace, equipot: dict[str, Any], sevennet: dict[str, Any]) -> dict[str, Any]:
    return {
        "cpu": processor(),
        "threads": args.threads,
        "date": datetime.date.today().isoformat(),
        "versions": f"equipot {equipot['equipot']} (torch {equipot['torch']}, kernels {equipot['kernels']}), "
        f"SevenNet {sevennet['sevenn']} (torch {sevennet['torch']})",
        "load": round(os.getloadavg()[0], 1),
    }


def missing_peer(python: Path | None) -> str | None:
    """One sentence when there is no environment with sevenn."""
    remedy = f"{ENVIRONMENT}, then --sevenn-python X/bin/python or {VARIABLE}"
    if python is None:
        return f"SevenNet's environment is not named: {remedy}"
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('sevenn') is None)"
    try:
        there = subprocess.run([str(python), "-c", code], capture_output=True).returncode == 0
    except OSError:
        return f"{python} cannot be run: {remedy}"
    return None if there else f"{python} has no sevenn: {remedy}"


if __name__ == "__main__":
    sys.exit(main())
