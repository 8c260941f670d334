"""Compare the runtime with torch: time of a step of the ASE calculator, by number of atoms.

    python -m benchmarks.engines [--presets nequip-s nequip-m] [--atoms 8 64 216 1000] [--threads 1]

Networks have random weights, in float32, for rattled silicon within 5 Å. Both engines compute energy, forces and stress
with the same kernels, in turns. Every step has new positions and keeps its neighbour list.
"""

import argparse
import copy
import itertools
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
from benchmarks.tables import markdown_table, rich_table, significant
from benchmarks.timing import interleave
from equipot.calculators import EquipotCalculator
from equipot.model_file import write_model
from equipot.speed.machine import processor

ENGINES = ("torch", "runtime")
MOVED = 1e-3  # Å


def arguments() -> argparse.Namespace:
    parser = command.parser("engines", __doc__)
    add = parser.add_argument
    add("--presets", nargs="+", default=["nequip-s", "nequip-m", "balanced"])
    add("--atoms", nargs="+", type=command.count, default=[8, 64, 216, 1000])
    add("--threads", type=command.count, default=1)
    add("--rounds", type=command.count, default=9)
    return parser.parse_args()


def step(calculator: EquipotCalculator, n_atoms: int) -> Callable[[int], float]:
    """Return a function that makes n steps and returns the mean seconds of one."""
    positions, cell = silicon(repeats_for(n_atoms))
    atoms = Atoms("Si" * len(positions), positions=positions, cell=cell, pbc=True)
    atoms.calc = copy.deepcopy(calculator)  # shares the network
    # A calculator does not compute the same positions twice.
    moved = itertools.cycle(
        positions + np.random.default_rng(1).uniform(-MOVED, MOVED, (4, *positions.shape))
    )

    def steps(n: int) -> float:
        start = time.perf_counter()
        for _ in range(n):
            atoms.positions = next(moved)
            atoms.get_forces()
        return (time.perf_counter() - start) / n

    return steps


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Print the table, and the same as Markdown."""
    torch.set_num_threads(args.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for preset in args.presets:
            model = write_model(Path(folder) / f"{preset}.pt", random_potential(preset), verify=False)
            calculators = {engine: EquipotCalculator(model, engine=engine) for engine in ENGINES}
            for n_atoms in args.atoms:
                sides = {engine: step(calculator, n_atoms) for engine, calculator in calculators.items()}
                times, _ = interleave(sides, args.rounds, 0.3)
                slow, fast = times["torch"], times["runtime"]
                rows.append(
                    {
                        "network": preset,
                        "atoms": str(n_atoms),
                        "torch (ms)": significant(1e3 * slow.median),
                        "runtime (ms)": significant(1e3 * fast.median),
                        "ratio, median": f"{slow.median / fast.median:.2f}",
                        "ratio, minimum": f"{slow.minimum / fast.minimum:.2f}",
                        "runtime (µs/atom)": significant(1e6 * fast.median / n_atoms),
                    }
                )
    title = f"Step of the ASE calculator, {args.threads} thread(s), {processor()}"
    console.print(rich_table(title, rows, ("network",)))
    print(markdown_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(command.run("engines", arguments(), benchmark))
