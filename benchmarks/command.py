"""The command line that all benchmarks share: options, errors in one sentence, results as JSON."""

import argparse
import datetime
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from equipot.errors import EquipotError
from equipot.speed.machine import processor


class BenchmarkError(EquipotError):
    """A benchmark cannot run here as it was asked to."""


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return an empty parser of `python -m benchmarks.NAME`; the description keeps its line breaks."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(name: str, args: argparse.Namespace, benchmark: Callable[[argparse.Namespace, Console], int]) -> int:
    """Return the benchmark's exit code, 1 after printing the sentence of an error, or 130 if it is interrupted."""
    console = Console(width=None if sys.stdout.isatty() else 180)
    try:
        return benchmark(args, console)
    except EquipotError as error:
        print(f"{name}: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"{name}: {where}{error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def count(text: str) -> int:
    """Parse an option that is a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected a whole number of 1 or more")
    return int(text)


def positive(text: str) -> float:
    """Parse an option that is a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected a number above 0")
    return value


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def circumstances() -> dict[str, Any]:
    """Return processor, date and the load of the machine at the start."""
    date = datetime.date.today().isoformat()
    return {"cpu": processor(), "date": date, "load": round(os.getloadavg()[0], 1)}


def print_lines(console: Console, values: Mapping[str, Any]) -> None:
    """Print one `name: value` per line."""
    for name, value in values.items():
        console.print(f"{name}: {value}", markup=False, highlight=False, soft_wrap=True)


def write_json(path: Path | None, values: Any) -> None:
    """Write results to the file of --json, if there is one."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=1) + "\n")
