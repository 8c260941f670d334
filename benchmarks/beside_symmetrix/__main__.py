"""Compare steps of equipot with those of symmetrix-xl, which runs MACE networks on CPUs without torch.

    python -m benchmarks.beside_symmetrix --symmetrix-python ENV/bin/python [MODEL ...] [--atoms 216] [--threads 1]

MODEL are model files that know Si, for example converted universal potentials; the presets nequip-m and nequip-l with
random weights are always there. On the other side is a network with the architecture of MACE-MP-0 "medium" (two layers
of 128x0e + 128x1o, l_max 3, correlation 3, cutoff 6 Å) for silicon alone, with random weights, in float32 and with the
package's profile for speed. The networks differ in accuracy and in their cutoffs, so time is given for each atom and
for each edge and thread. A step moves all atoms a little and computes energy, forces and stress. All sides take turns.
"""

import argparse
import contextlib
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write
from rich.console import Console

from benchmarks import command
from benchmarks.peers.environment import SYMMETRIX
from benchmarks.peers.worker import Worker
from benchmarks.random_network import random_potential
from benchmarks.silicon import repeats_for, silicon
from benchmarks.tables import markdown_table, rich_table
from benchmarks.timing import interleave
from equipot.model_file import read_metadata, write_model
from equipot.neighbours import neighbour_list
from equipot.speed.machine import processor

PRESETS = ("nequip-m", "nequip-l")
MACE = {"MACE, 128x0e+128x1o": "128x0e+128x1o"}
MACE_CUTOFF = 6.0


def arguments() -> argparse.Namespace:
    parser = command.parser("beside_symmetrix", __doc__)
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL")
    SYMMETRIX.add_option(parser)
    parser.add_argument("--atoms", type=command.count, default=216)
    parser.add_argument("--threads", type=command.count, default=1, help="of all sides (default 1)")
    parser.add_argument("--rounds", type=command.count, default=5)
    parser.add_argument("--round-seconds", type=command.positive, default=2.0)
    parser.add_argument("--work", type=Path, default=Path("runs/beside_symmetrix"), help="folder of the logs")
    return parser.parse_args()


def neighbours(atoms: Atoms, cutoff: float) -> float:
    """Return the mean number of neighbours within a cutoff in Å."""
    index, _, _ = neighbour_list(atoms.positions, np.asarray(atoms.cell), atoms.pbc, cutoff)
    return index.shape[1] / len(atoms)


def models_of(args: argparse.Namespace, folder: Path) -> dict[str, tuple[Path, float]]:
    """Return the path and the cutoff of equipot's models by name; presets are written into a folder."""
    made = {}
    for preset in PRESETS:
        path = write_model(folder / f"{preset}.pt", random_potential(preset), verify=False)
        made[f"equipot, {preset}"] = path
    made |= {f"equipot, {path.stem}": path.resolve() for path in args.models}
    return {name: (path, float(read_metadata(path).cutoff)) for name, path in made.items()}


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Print the table, and the same as Markdown."""
    python = SYMMETRIX.check(args.symmetrix_python)
    positions, cell = silicon(repeats_for(args.atoms))
    atoms = Atoms("Si" * len(positions), positions, cell=cell, pbc=True)
    work = args.work.resolve()
    with (
        tempfile.TemporaryDirectory() as name,
        contextlib.ExitStack() as stack,
        console.status("measuring …"),
    ):
        folder = Path(name)
        write(folder / "si.extxyz", atoms)
        cutoffs: dict[str, float] = {}
        workers: dict[str, Worker] = {}

        def start(side: str, interpreter: str | Path, module: str) -> Worker:
            log = work / f"{re.sub('[^a-z0-9]+', '-', side.lower())}.log"
            workers[side] = stack.enter_context(Worker(Path(interpreter), module, args.threads, log))
            return workers[side]

        def prepare(side: str, path: Path | str, cutoff: float) -> None:
            request: dict[str, Any] = {"structures": str(folder / "si.extxyz"), "index": 0}
            workers[side].ask("steps", job="steps", model=str(path), **request)
            cutoffs[side] = cutoff

        for side, (path, cutoff) in models_of(args, folder).items():
            start(side, sys.executable, "benchmarks.foundation.equipot_worker")
            prepare(side, path, cutoff)
        for side, irreps in MACE.items():
            worker = start(side, python, "benchmarks.beside_symmetrix.symmetrix_worker")
            file = worker.ask("network", folder=str(folder), irreps=irreps)["path"]
            prepare(side, file, MACE_CUTOFF)

        def timed(worker: Worker) -> Callable[[int], float]:
            return lambda n: worker.time(n, "steps")

        sides = {side: timed(worker) for side, worker in workers.items()}
        times, _ = interleave(sides, args.rounds, args.round_seconds)
    rows = []
    for side, t in times.items():
        edges = neighbours(atoms, cutoffs[side])
        rows.append(
            {
                "network": side,
                "cutoff (Å)": f"{cutoffs[side]:g}",
                "neighbours": f"{edges:.1f}",
                "µs per atom, median": f"{1e6 * t.median / len(atoms):.1f}",
                "minimum": f"{1e6 * t.minimum / len(atoms):.1f}",
                "µs per edge and thread": f"{1e6 * args.threads * t.minimum / len(atoms) / edges:.2f}",
            }
        )
    title = f"{len(atoms)} silicon atoms, {args.threads} threads, {processor()}"
    console.print(rich_table(title, rows, ("network",)))
    print(markdown_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(command.run("beside_symmetrix", arguments(), benchmark))
