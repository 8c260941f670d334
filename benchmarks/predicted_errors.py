"""Compare the errors that one model predicts with those that a committee of independent models predicts.

    python -m benchmarks.predicted_errors MODEL TEST [--committee MODEL2 MODEL3 MODEL4] [--frames 200]

TEST holds labelled frames. The first row is about the predicted errors of MODEL, the second one about the spread of the
forces of MODEL and the committee, as DeePMD's model_devi has it; both beside the errors of MODEL's forces. A
committee's spread is no error, so only its rank correlation can be compared.
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks import command
from benchmarks.command import BenchmarkError
from benchmarks.grades import structures
from benchmarks.tables import markdown_table, rich_table
from equipot.calculators import EquipotCalculator
from equipot.evaluation.predicted_errors import Calibration


def arguments() -> argparse.Namespace:
    parser = command.parser("predicted_errors", __doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--committee", type=Path, nargs="*", default=[], help="models of other seeds")
    parser.add_argument("--frames", type=command.count, default=200, help="of TEST, chosen at random")
    return parser.parse_args()


def row(name: str, calibration: Calibration | None) -> dict[str, str]:
    if calibration is None:
        raise BenchmarkError(f"{name}: no frame has forces")
    return {
        "by": name,
        "true (meV/Å)": f"{1000 * calibration.rmse:.1f}",
        "predicted": f"{1000 * calibration.predicted:.1f}",
        "predicted / true": f"{calibration.predicted / calibration.rmse:.2f}",
        "area": f"{calibration.area:.3f}",
        "ranks": f"{calibration.spearman or 0:.3f}",
    }


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Print the table, and the same as Markdown."""
    warnings.simplefilter("ignore")
    model = EquipotCalculator(args.model)
    others = [EquipotCalculator(path) for path in args.committee]
    errors, predicted, spreads = [], [], []
    for atoms in structures(args.test, args.frames):
        reference = atoms.get_forces()
        forces = [calculator.get_forces(atoms) for calculator in (model, *others)]
        errors.append(forces[0] - reference)
        predicted.append(model.predicted_errors(atoms).forces)
        spreads.append(np.sqrt(np.square(forces - np.mean(forces, axis=0)).sum(2).mean(0)))
    true = np.concatenate(errors)
    rows = [row("its own members", Calibration.of(true, np.concatenate(predicted)))]
    if others:
        rows.append(row(f"{1 + len(others)} models", Calibration.of(true, np.concatenate(spreads))))
    console.print(rich_table(f"Predicted errors of forces, {args.model}", rows, ("by",)))
    print(markdown_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(command.run("predicted_errors", arguments(), benchmark))
