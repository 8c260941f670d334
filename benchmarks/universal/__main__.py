"""Phonons and elastic constants of universal models beside published values, and the time of a step.

    python -m benchmarks.universal [MODEL ...] [--crystals MgO NaCl Si] [--no-speed] [--json FILE]
    python -m benchmarks.universal sevenn:7net-0 sevenn:7net-mf-0,R2SCAN nequix-oam-1-pft.nqx model.pt

MODEL is a published model's name as in `equipot convert`, with a comma and a modality if it has several; a file of
another package; or a model file. The default are all models that `pip install sevenn` ships and three of Nequix.

Each crystal is relaxed in its space group. Then come the equation of state, the elastic constants with relaxed atoms,
and phonons by finite displacements, with the functions and settings of `equipot report`. A model has no charges, so the
optical modes of MgO and NaCl have no LO-TO splitting: at Γ, all three have the frequency of the transverse ones.
Calculations are static, at 0 K and without zero-point motion. Most experiments were at room temperature.

A timed step is one of molecular dynamics at constant energy: neighbours, energy, forces, positions and velocities. It
is measured on one thread in processor time, which leaves out waiting for other work on the machine. Such work still
slows a step through caches and memory, so all models take turns.

Results of a model and a crystal are kept in --work. A second run with the same model file and settings reads them.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from rich.console import Console

import equipot
from benchmarks import command
from benchmarks.tables import markdown_table, rich_table
from equipot.calculators import EquipotCalculator
from equipot.neighbours import neighbour_list

from . import report
from .crystals import CRYSTALS
from .measure import properties, step_times
from .models import DEFAULT, Model
from .results import kept

UNITS = "a in Å, B and elastic constants in GPa, frequencies in THz"


def arguments() -> argparse.Namespace:
    parser = command.parser("universal", __doc__)
    add = parser.add_argument
    add("models", nargs="*", default=list(DEFAULT), metavar="MODEL", help="(default: %(default)s)")
    add("--crystals", nargs="+", choices=list(CRYSTALS), default=list(CRYSTALS), help="(default: all)")
    add(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="of converted models (default: %(default)s)",
    )
    add("--no-speed", action="store_true", help="leave out the time of a step")
    add("--atoms", type=command.count, default=216, help="of the timed crystals (default: %(default)s)")
    add("--rounds", type=command.count, default=7, help="turns of each model (default: %(default)s)")
    add("--round-seconds", type=command.positive, default=2.0, help="length of a turn (default: %(default)s)")
    add(
        "--work",
        type=Path,
        default=Path("runs/universal"),
        help="folder of the results (default: %(default)s)",
    )
    add("--json", type=Path, metavar="FILE", help="also write all values to a file")
    add("--markdown", action="store_true", help="also print the tables as Markdown")
    return parser.parse_args()


def neighbours(atoms: Atoms, cutoff: float) -> float:
    """Return the mean number of neighbours within a cutoff in Å."""
    index, _, _ = neighbour_list(atoms.positions, np.asarray(atoms.cell), atoms.pbc, cutoff)
    return index.shape[1] / len(atoms)


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Measure what the options select, printing every table when it is complete."""
    torch.set_num_threads(1)
    results: dict[str, Any] = {"header": command.circumstances()}
    command.print_lines(console, results["header"])
    models: dict[str, Model] = {}
    values: dict[str, dict[str, Any]] = {}
    times: dict[str, dict[str, Any]] = {}
    with console.status("converting …") as status:
        for source in args.models:
            status.update(f"{source}: converting …")
            model = Model.of(source, args.dtype)
            models[model.name] = model
        for crystal in args.crystals:
            values[crystal] = {}
            for name, model in models.items():
                status.update(f"{crystal}: {name} …")
                values[crystal][name] = kept(
                    args.work / name.replace(" ", "-") / f"{crystal}.json",
                    {"model": str(model.path), "equipot": equipot.__version__},
                    partial(_properties, crystal, model),
                )
            _print(console, args, crystal, report.crystal_rows(crystal, values[crystal]), UNITS)
            for sentence in report.sentences(crystal, values[crystal]):
                console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        _print(console, args, "mean deviations in %", report.deviations(values))
        for crystal in () if args.no_speed else args.crystals:
            status.update(f"{crystal}: steps …")
            times[crystal] = _steps(args, crystal, models)
    if times:
        near = {
            crystal: {
                name: neighbours(CRYSTALS[crystal].atoms(crystal), model.cutoff)
                for name, model in models.items()
            }
            for crystal in times
        }
        title = f"one step of {args.atoms} atoms or more: ms of one thread, median (minimum) of the turns"
        _print(console, args, title, report.time_rows(models, times, near))
    results |= {"values": values, "steps": times}
    command.write_json(args.json, results)
    return 0


def _properties(crystal: str, model: Model) -> dict[str, Any]:
    return properties(CRYSTALS[crystal].atoms(crystal), EquipotCalculator(model.path))


def _steps(args: argparse.Namespace, crystal: str, models: dict[str, Model]) -> dict[str, Any]:
    options = {name: getattr(args, name) for name in ("atoms", "rounds", "round_seconds")}
    made_with = {"models": [str(m.path) for m in models.values()], "equipot": equipot.__version__, **options}
    atoms = CRYSTALS[crystal].atoms(crystal)
    measure = partial(step_times, models, atoms, args.atoms, args.rounds, args.round_seconds)
    return kept(args.work / f"steps-{crystal}.json", made_with, measure)


def _print(
    console: Console, args: argparse.Namespace, title: str, rows: list[report.Cells], caption: str = ""
) -> None:
    console.print(rich_table(title, rows, ("", "hidden features", "imaginary modes"), caption=caption))
    if args.markdown:
        console.print(markdown_table(rows), markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(command.run("universal", arguments(), benchmark))
