"""What `relax`, `phonons` and `md` share: a model, structures it knows, and a bar that says how long it takes."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ase import Atoms
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from equipot.errors import ConfigError

if TYPE_CHECKING:
    from equipot.calculators import EquipotCalculator


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-m",
        "--model",
        required=True,
        metavar="MODEL",
        help="model file, or a published one as in `equipot convert` (sevenn:7net-0)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")


def load_calculator(model: str, device: str, structures: Sequence[Atoms]) -> "EquipotCalculator":
    """The calculator of a model. Raises UnknownSpeciesError when it does not know an element of the structures."""
    from equipot.calculators import EquipotCalculator
    from equipot.calculators.universal import universal

    published = model.startswith("sevenn:")
    calculator = universal(model, device=device) if published else EquipotCalculator(model, device)
    for atoms in structures:
        calculator.species.index(atoms.numbers)
    return calculator


def output_file(name: str, option: str, taken: Sequence[str] = ()) -> Path:
    """The path of an extended XYZ file to write, its folder made. Raises ConfigError.

    taken: files that must not be written over, for instance the input.
    """
    path = Path(name)
    if path.suffix not in (".extxyz", ".xyz"):
        raise ConfigError(
            f"{option}: {name} must end in .extxyz or .xyz; `ase convert` makes other formats of it"
        )
    if path.is_dir():
        raise ConfigError(f"{option}: {name} is a folder; expected the name of a file")
    for other in taken:
        if path.exists() and Path(other).exists() and path.samefile(other):
            raise ConfigError(f"{option}: {name} is the input itself; give another name")
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    return path


def name_lost_constraints(structures: Sequence[Atoms], files: Sequence[Path]) -> None:
    """Say on stderr which constraints the files of a run cannot hold."""
    from equipot.simulation.constraints import lost_constraints

    sentence = lost_constraints(structures, files)
    if sentence:
        print(f"note: {sentence}", file=sys.stderr)


def not_there(path: Path, overwrite: bool) -> None:
    """Raise ConfigError for a file that exists, unless it may be replaced."""
    if path.exists() and not overwrite and not path.is_char_device():
        raise ConfigError(f"{path} exists; replace it with --overwrite, or name another place with --output")


class _TimeLeft(ProgressColumn):
    """Time left by the rate of this run, whatever was done before it."""

    def render(self, task: Task) -> Text:
        spent = time.monotonic() - task.fields["started"]
        done = task.completed - task.fields["begun_with"]
        if task.total is None or done <= 0:
            return Text("")
        return Text(f"{clock(spent * (task.total - task.completed) / done)} left", style="cyan")


def speed(progress: Progress, task: TaskID, done: int) -> str:
    """How many of a task's parts are done in a second, or how long one takes."""
    spent = max(time.monotonic() - progress.tasks[task].fields["started"], 1e-9)
    return f"{done / spent:.3g} a second" if done > spent else f"{spent / max(done, 1):.3g} s each"


def clock(seconds: float) -> str:
    """H:MM:SS."""
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{s:02d}"


def bar(console: Console) -> Progress:
    """A bar on a terminal, nothing elsewhere; add tasks with `begin`."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[said]}", markup=False),
        _TimeLeft(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def begin(progress: Progress, what: str, total: int, begun_with: int = 0) -> TaskID:
    """A task that starts now."""
    return progress.add_task(
        what, total=total, completed=begun_with, said="", started=time.monotonic(), begun_with=begun_with
    )
