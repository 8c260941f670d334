"""Compare predictions for many structures at once with one calculation after the other, in structures per second.

    python -m benchmarks.many [--presets nequip-s nequip-m] [--atoms 8 64] [--structures 400] [--rounds 7]

Cells of silicon are strained and rattled at random; networks have random weights in float32. One by one, there is one
`EquipotCalculator` on one thread, and each structure gets forces, energy and stress from one calculation. The other
sides are `predict_many` with one worker and with one for each core. All sides take turns.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from rich.console import Console

from benchmarks import command
from benchmarks.random_network import random_potential
from benchmarks.silicon import repeats_for, silicon
from benchmarks.tables import markdown_table, rich_table
from benchmarks.timing import Times, interleave
from equipot.calculators import EquipotCalculator, predict_many
from equipot.model_file import LoadedModel, load_model, write_model
from equipot.speed.machine import processor

STRAIN = 0.04  # standard deviation of each component
ONE_BY_ONE = "one by one"


def arguments() -> argparse.Namespace:
    parser = command.parser("many", __doc__)
    add = parser.add_argument
    add("--presets", nargs="+", default=["nequip-s"], help="networks (default: %(default)s)")
    add("--atoms", nargs="+", type=command.count, default=[8, 64])
    add("--structures", type=command.count, default=400)
    add("--rounds", type=command.count, default=7)
    add("--workers", type=command.count, default=command.cores(), help="(default: %(default)s, the cores)")
    add("--json", type=Path, metavar="FILE", help="also write the results to a file")
    return parser.parse_args()


def structures(n: int, n_atoms: int) -> list[Atoms]:
    """Return different cells of about `n_atoms` atoms."""
    rng, made = np.random.default_rng(0), []
    for seed in range(n):
        positions, cell = silicon(repeats_for(n_atoms), seed)
        atoms = Atoms("Si" * len(positions), positions, cell=cell, pbc=True)
        atoms.set_cell(cell @ (np.eye(3) + rng.normal(0, STRAIN, (3, 3))), scale_atoms=True)
        made.append(atoms)
    return made


def one_by_one(model: LoadedModel, given: list[Atoms]) -> None:
    """Compute all structures with one calculator."""
    calculator = EquipotCalculator(model)
    for atoms in given:
        atoms.calc = calculator
        atoms.get_forces(), atoms.get_potential_energy(), atoms.get_stress()


def sides(model: LoadedModel, given: list[Atoms], workers: int) -> dict[str, Callable[[int], float]]:
    """Return functions that compute all structures n times and return the seconds for one structure."""

    def timed(work: Callable[[], object]) -> Callable[[int], float]:
        def repeated(n: int) -> float:
            start = time.perf_counter()
            for _ in range(n):
                work()
            return (time.perf_counter() - start) / (n * len(given))

        return repeated

    def many(n: int) -> Callable[[], object]:
        return lambda: [p.forces for p in predict_many(model, given, workers=n)]

    named = {f"{n} worker{'s' if n > 1 else ''}": timed(many(n)) for n in dict.fromkeys((1, workers))}
    return {ONE_BY_ONE: timed(lambda: one_by_one(model, given)), **named}


def row(preset: str, n_atoms: int, name: str, side: Times, base: Times) -> dict[str, str]:
    """Return a row of the table."""
    return {
        "network": preset,
        "atoms": str(n_atoms),
        "": name,
        "structures per second, best": f"{1 / side.minimum:.0f}",
        "median": f"{1 / side.median:.0f}",
        "ratio of the best": f"{base.minimum / side.minimum:.2f}",
        "of medians": f"{base.median / side.median:.2f}",
    }


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Print the table, and the same as Markdown."""
    torch.set_num_threads(1)  # of the calculator; workers are counted by themselves
    command.print_lines(console, command.circumstances())
    rows = []
    with tempfile.TemporaryDirectory() as folder, console.status("computing …"):
        for preset in args.presets:
            path = Path(folder) / f"{preset}.pt"
            write_model(path, random_potential(preset), verify=False)
            model = load_model(path)
            for n_atoms in args.atoms:
                given = structures(args.structures, n_atoms)
                times, _ = interleave(sides(model, given, args.workers), args.rounds, 0.0)
                base = times[ONE_BY_ONE]
                rows += [row(preset, len(given[0]), name, t, base) for name, t in times.items()]
    console.print(rich_table(f"{args.structures} structures, {processor()}", rows, ("network", "")))
    print(markdown_table(rows))
    command.write_json(args.json, rows)
    return 0


if __name__ == "__main__":
    sys.exit(command.run("many", arguments(), benchmark))
