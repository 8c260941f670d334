"""What extrapolation grades and predicted errors cost in LAMMPS: silicon, NVE at 300 K, one rank and one thread.

    python -m benchmarks.uncertainty_cost [--preset nequip-m] [--atoms 1000] [--steps 200] [--rounds 3]

Four runs take turns: without either; with grades in every step; with predicted errors of forces in every --steps-th
step, once per run; and with model_devi.out of the same interval. The network has random weights and 16 members.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from ase import Atoms
from ase.io import write
from rich.console import Console

from benchmarks import command
from benchmarks.command import BenchmarkError
from benchmarks.random_network import random_potential
from benchmarks.scaling.runs import BIN
from benchmarks.silicon import CUTOFF, repeats_for, silicon
from benchmarks.tables import markdown_table, rich_table
from equipot.lammps import build_plugin
from equipot.model_file import write_model
from equipot.network.variants import with_grade, with_members
from equipot.presets import PRESETS
from equipot.speed.machine import processor
from equipot.uncertainty.members import N_MEMBERS

INPUT = """
units metal
atom_style atomic
newton on
read_data si.data
pair_style equipot timing yes {deviation}
pair_coeff * * model.pt Si
neighbor 1.0 bin
velocity all create 300 1 loop geom
fix 1 all nve
{commands}
run {steps}
"""
# The first step is computed before the clock of a run starts, so the interval ends at the last step.
SIDES = {
    "neither": ("", ""),
    "grades in every step": ("", "fix g all pair 1 equipot gamma 1"),
    "predicted errors in one of {steps} steps": ("", "fix s all pair {steps} equipot sigma_force 1"),
    "model_devi.out every {steps} steps": ("deviation model_devi.out every {steps}", ""),
}


def arguments() -> argparse.Namespace:
    parser = command.parser("uncertainty_cost", __doc__)
    parser.add_argument("--preset", choices=list(PRESETS), default="nequip-m", help=f"cutoff {CUTOFF:g} Å")
    parser.add_argument("--atoms", type=command.count, default=1000)
    parser.add_argument("--steps", type=command.count, default=200)
    parser.add_argument("--rounds", type=command.count, default=3)
    return parser.parse_args()


def write_network(path: Path, preset: str) -> None:
    """Write a random network with arbitrary grades and members."""
    potential = random_potential(preset)
    d = potential.read.width
    factor = torch.eye(d).reshape(1, -1)
    potential = with_grade(potential, torch.zeros(1, d), factor, torch.zeros(1))
    deltas = 1e-3 * torch.randn(N_MEMBERS, d, dtype=torch.float64)
    write_model(path, with_members(potential, deltas, torch.eye(d, dtype=torch.float64)), verify=False)


def milliseconds(folder: Path, side: str, steps: int) -> tuple[float, float]:
    """Return the milliseconds per step of a run, and the MiB of its rank."""
    deviation, commands = (text.format(steps=steps) for text in SIDES[side])
    (folder / "in.lammps").write_text(INPUT.format(deviation=deviation, commands=commands, steps=steps))
    run = subprocess.run(
        [BIN / "lmp", "-in", "in.lammps", "-log", "none"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    loop = re.search(r"Loop time of (\S+)", run.stdout)
    memory = re.search(r"memory per rank: (\S+) MiB", run.stdout)
    if run.returncode != 0 or not loop or not memory:
        raise BenchmarkError(f"lmp failed: {run.stdout.strip().splitlines()[-1]}")
    return 1e3 * float(loop[1]) / steps, float(memory[1])


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Print the table, and the same as Markdown."""
    build_plugin()
    positions, cell = silicon(repeats_for(args.atoms))
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    memory: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, console.status("running LAMMPS …"):
        folder = Path(name)
        atoms = Atoms("Si" * len(positions), positions, cell=cell, pbc=True)
        write(folder / "si.data", atoms, format="lammps-data", masses=True)
        write_network(folder / "model.pt", args.preset)
        for k in range(args.rounds):
            for side in SIDES if k % 2 == 0 else reversed(SIDES):
                of_run, memory[side] = milliseconds(folder, side, args.steps)
                times[side].append(of_run)
    base = statistics.median(times["neither"])
    rows = [
        {
            "": side.format(steps=args.steps),
            "ms per step, median": f"{statistics.median(t):.2f}",
            "minimum": f"{min(t):.2f}",
            "more time": f"{100 * (statistics.median(t) / base - 1):+.1f} %",
            "of minima": f"{100 * (min(t) / min(times['neither']) - 1):+.1f} %",
            "memory (MiB)": f"{memory[side]:.0f}",
        }
        for side, t in times.items()
    ]
    title = f"{args.preset}, {len(positions)} atoms, {processor()}"
    console.print(rich_table(title, rows, ("",)))
    print(markdown_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(command.run("uncertainty_cost", arguments(), benchmark))
