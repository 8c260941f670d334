"""How the example scripts are called, and how they show and keep what they found."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

DEFAULT_MODEL = Path("runs/silicon/model.pt")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows the model and the folder of results."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=Path, default=DEFAULT_MODEL, help="model file of a training (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, help="folder for results (default: that of the model)")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The parsed arguments, with a model that exists and an output folder that does too."""
    args = parser.parse_args()
    if not args.model.is_file():
        parser.error(
            f"{args.model} does not exist; train it with `equipot train examples/silicon/config.yaml`, "
            "or name another one with --model"
        )
    args.output = args.output or args.model.parent
    args.output.mkdir(parents=True, exist_ok=True)
    return args


def show(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """One table: names to the left, numbers to the right."""
    table = Table(title=title, title_justify="left")
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def save(folder: Path, name: str, values: dict[str, Any]) -> None:
    """Write folder/name.json."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def percent(value: float, reference: float) -> str:
    return f"{100 * (value / reference - 1):+.1f} %"
