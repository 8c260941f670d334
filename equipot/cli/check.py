"""`equipot check`: check labelled structures before a training."""

import argparse
from collections import Counter
from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from equipot.cli.labels import add_label_options
from equipot.data.checks import NAMES, check_frames, check_names
from equipot.errors import ConfigError
from equipot.quantities import LABELS
from equipot.structures.frame import Frame, config_types
from equipot.structures.reading import LabelKeys, read_frames


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="file or glob, in any format of ASE")
    parser.add_argument(
        "--cutoff", type=float, default=5.0, help="cutoff (Å) for the count of neighbours (default: 5.0)"
    )
    add_label_options(parser)
    parser.add_argument(
        "--e0",
        action="append",
        default=[],
        metavar="EL=eV",
        help="energy of an isolated atom in eV, e.g. Si=-0.8; can be repeated",
    )
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="NAME",
        help="ignore the errors of this check; can be repeated",
    )
    width = max(map(len, NAMES))
    parser.epilog = "checks:\n" + "\n".join(f"  {name:<{width}}  {title}" for name, title in NAMES.items())


def run(args: argparse.Namespace) -> int:
    """Print a summary of the set, the findings of the checks and the verdict. Return 1 if there are errors."""
    check_names(args.accept)
    if not args.cutoff > 0:
        raise ConfigError(f"--cutoff is {args.cutoff}; expected a positive length in Å")
    e0 = _reference_energies(args.e0)
    keys = LabelKeys.from_values(vars(args))
    frames = read_frames(args.files, keys)
    console = Console()
    console.print(_summary(frames))
    console.print(_groups(frames))
    report = check_frames(frames, args.cutoff, e0)
    report.print(console, args.accept)
    return 1 if report.errors(args.accept) else 0


def _reference_energies(pairs: Sequence[str]) -> dict[str, float] | None:
    values = {}
    for pair in pairs:
        element, equals, value = pair.partition("=")
        try:
            values[element] = float(value)
        except ValueError:
            equals = ""
        if not equals or element not in chemical_symbols:
            raise ConfigError(f"--e0: '{pair}' is not of the form Element=eV, e.g. Si=-0.8")
    return values or None


def _summary(frames: Sequence[Frame]) -> Table:
    atoms = Counter(int(z) for f in frames for z in f.numbers)
    sizes = np.array([len(f) for f in frames])
    species = ", ".join(f"{chemical_symbols[z]} {n}" for z, n in sorted(atoms.items())) or "none"
    table = Table(title="Set", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("frames", str(len(frames)))
    table.add_row("atoms", f"{sizes.sum()} ({sizes.min()} to {sizes.max()} in a frame)")
    table.add_row("elements", species)
    for q in LABELS:
        table.add_row(q.title, f"{sum(q.name in f.labels for f in frames)} frames")
    return table


def _groups(frames: Sequence[Frame]) -> Table:
    table = Table(title="By config_type", title_justify="left")
    table.add_column("config_type")
    for column in ("frames", "atoms", "energy eV/atom", "rms force eV/Å", "pressure GPa"):
        table.add_column(column, justify="right")
    for name in config_types(frames):
        members = [f for f in frames if f.config_type == name]
        energies = [f.energy / len(f) for f in members if f.energy is not None and len(f)]
        forces = [np.square(f.forces).ravel() for f in members if f.forces is not None and len(f)]
        # Pressure is minus a third of the trace: stress is positive under tension.
        pressures = [-np.trace(f.stress) / 3 * 160.21766 for f in members if f.stress is not None]
        table.add_row(
            escape(name),
            str(len(members)),
            str(sum(map(len, members))),
            _range(energies, ".3f"),
            f"{np.sqrt(np.mean(np.concatenate(forces))):.3g}" if forces else "-",
            _range(pressures, ".1f"),
        )
    return table


def _range(values: Sequence[float], form: str) -> str:
    if not values:
        return "-"
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} … {high}"
