"""Parts that `relax`, `phonons`, `md` and `report` share: the model, the output files and the progress bar."""

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
        help="model file, or a published model as in `equipot convert` (sevenn:7net-0, nequix-mp-1)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")


def load_calculator(model: str, device: str, structures: Sequence[Atoms]) -> "EquipotCalculator":
    """Return the calculator of a model. Raise UnknownSpeciesError if the model lacks an element of the structures."""
    from equipot.calculators import EquipotCalculator
    from equipot.calculators.universal import is_published, universal

    published = is_published(model)
    calculator = universal(model, device=device) if published else EquipotCalculator(model, device)
    for atoms in structures:
        calculator.species.index(atoms.numbers)
    calculator.warns = False  # commands call `name_extrapolation` at their end
    return calculator


def name_unknown_volume(calculator: "EquipotCalculator", relaxed: Sequence[Atoms]) -> None:
    """Print a warning on stderr if cells were relaxed to volumes that the training set says nothing about."""
    from equipot.uncertainty.warning import volume_sentence

    statistics = calculator.model.metadata.statistics
    volumes = [atoms.get_volume() / len(atoms) if atoms.pbc.all() else None for atoms in relaxed]
    sentences = [volume_sentence(statistics, volume) for volume in volumes]
    for sentence in dict.fromkeys(s for s in sentences if s):
        print(f"warning: {sentence}", file=sys.stderr)


def name_extrapolation(calculator: "EquipotCalculator") -> None:
    """Print a warning on stderr if an atom of a calculation was unlike those that the model was trained on."""
    from equipot.uncertainty.warning import WARN_ABOVE

    highest = calculator.extrapolation
    if highest is not None and highest.grade > WARN_ABOVE:
        print(f"warning: {highest.sentence()}", file=sys.stderr)


def output_file(name: str, option: str, inputs: Sequence[str] = ()) -> Path:
    """Return the path of an extended XYZ file to write, and create its folder.

    Args:
        name: path from the command line.
        option: name of the option, for error messages.
        inputs: files that must not be overwritten.

    Raises:
        ConfigError: the name has another ending, is a folder or is one of the inputs.
    """
    path = Path(name)
    if path.suffix not in (".extxyz", ".xyz"):
        raise ConfigError(
            f"{option}: {name} must end in .extxyz or .xyz; `ase convert` turns it into other formats"
        )
    if path.is_dir():
        raise ConfigError(f"{option}: {name} is a folder; expected the name of a file")
    for other in inputs:
        if path.exists() and Path(other).exists() and path.samefile(other):
            raise ConfigError(f"{option}: {name} is the input file; give another name")
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    return path


def name_lost_constraints(structures: Sequence[Atoms], files: Sequence[Path]) -> None:
    """Print a note on stderr about the constraints that the output files cannot hold."""
    from equipot.simulation.constraints import lost_constraints

    sentence = lost_constraints(structures, files)
    if sentence:
        print(f"note: {sentence}", file=sys.stderr)


def require_absent(path: Path, overwrite: bool) -> None:
    """Raise ConfigError if a file exists and must not be overwritten."""
    if path.exists() and not overwrite and not path.is_char_device():
        raise ConfigError(
            f"{path} exists; replace it with --overwrite, or choose another place with --output"
        )


class _TimeLeft(ProgressColumn):
    """A column with the remaining time, estimated from the rate of this run without an earlier one."""

    def render(self, task: Task) -> Text:
        spent = time.monotonic() - task.fields["started"]
        done = task.completed - task.fields["initial"]
        if task.total is None or done <= 0:
            return Text("")
        return Text(f"{clock(spent * (task.total - task.completed) / done)} left", style="cyan")


def speed(progress: Progress, task: TaskID, done: int) -> str:
    """Return a text with the number of parts of a task per second, or with the seconds per part if that is larger."""
    spent = max(time.monotonic() - progress.tasks[task].fields["started"], 1e-9)
    return f"{done / spent:.3g} a second" if done > spent else f"{spent / max(done, 1):.3g} s each"


def clock(seconds: float) -> str:
    """Return a time as H:MM:SS."""
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{s:02d}"


def bar(console: Console) -> Progress:
    """Return a progress bar that shows only on a terminal. `begin` adds a task to it."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[message]}", markup=False),
        _TimeLeft(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def begin(progress: Progress, title: str, total: int, initial: int = 0) -> TaskID:
    """Add a task that starts now, with `initial` of its `total` parts done by an earlier run. Return its id."""
    return progress.add_task(
        title, total=total, completed=initial, message="", started=time.monotonic(), initial=initial
    )
