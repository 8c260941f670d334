"""How well extrapolation grades separate structures that are unlike a training set.

    python -m benchmarks.grades MODEL TEST [UNLIKE ...] [--frames 100]

TEST holds structures of the kind of the training set. For it and for each further file, the table has the highest grade
of a structure (median, 90 % quantile, largest), the share of structures above 1, and the AUROC: the probability that a
structure of the file has a higher grade than one of TEST. Beside the files, TEST is squeezed and stretched by 10 %.
"""

import argparse
import sys
import warnings
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from rich.console import Console

from benchmarks import command
from benchmarks.command import BenchmarkError
from benchmarks.tables import markdown_table, rich_table
from equipot.calculators import EquipotCalculator
from equipot.quantities import GAMMA

STRAINS = {"squeezed to 0.9": 0.9, "stretched to 1.1": 1.1}


def arguments() -> argparse.Namespace:
    parser = command.parser("grades", __doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("unlike", type=Path, nargs="*")
    parser.add_argument("--frames", type=command.count, default=100, help="of each file, chosen at random")
    return parser.parse_args()


def structures(path: Path, n: int) -> list[Atoms]:
    """Return some structures of a file, without isolated atoms."""
    frames = [a for a in ase.io.read(path, ":") if len(a) > 1]
    order = np.random.default_rng(0).permutation(len(frames))
    return [frames[k] for k in order[:n]]


def strained(atoms: Atoms, factor: float) -> Atoms:
    """Return a copy with all distances multiplied; without periodicity, the cell does not matter."""
    copy = atoms.copy()
    copy.set_cell(copy.cell * factor)
    copy.positions *= factor
    return copy


def highest(calculator: EquipotCalculator, frames: list[Atoms]) -> np.ndarray:
    """Return the highest grade of each structure."""
    grades = []
    for atoms in frames:
        calculator.calculate(atoms, ("energy",))
        if GAMMA not in calculator.outputs:
            raise BenchmarkError("the model gives no extrapolation grades")
        grades.append(calculator.outputs[GAMMA].max())
    return np.array(grades)


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Print the table, and the same as Markdown."""
    calculator = EquipotCalculator(args.model)
    warnings.simplefilter("ignore")
    test = structures(args.test, args.frames)
    sets = {args.test.stem: test}
    sets.update({path.stem: structures(path, args.frames) for path in args.unlike})
    sets.update({f"{args.test.stem}, {name}": [strained(a, s) for a in test] for name, s in STRAINS.items()})
    reference, rows = highest(calculator, test), []
    for name, frames in sets.items():
        grades = highest(calculator, frames)
        more = np.mean(grades[:, None] > reference) + 0.5 * np.mean(grades[:, None] == reference)
        rows.append(
            {
                "structures": name,
                "number": str(len(frames)),
                "median": f"{np.median(grades):.2f}",
                "90 %": f"{np.quantile(grades, 0.9):.2f}",
                "largest": f"{grades.max():.2f}",
                "above 1": f"{100 * np.mean(grades > 1):.0f} %",
                "AUROC": f"{more:.3f}",
            }
        )
    console.print(rich_table(f"Highest grade of a structure, {args.model}", rows, ("structures",)))
    print(markdown_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(command.run("grades", arguments(), benchmark))
