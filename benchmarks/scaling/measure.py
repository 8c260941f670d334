"""All runs of the scaling benchmark, by rounds, and the figures that follow from them."""

import argparse
import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import command
from benchmarks.peers.worker import CALL_LIMIT, Worker
from benchmarks.silicon import LATTICE_CONSTANT, repeats_for, silicon

from . import figures
from .projection import projected
from .runs import SKIN, Machine, Run

DENSITY = 8 / LATTICE_CONSTANT**3
PROJECTED = (250, 500, 1000, 2000, 4000, 8000, 16000, 32000)  # atoms per rank

Show = Callable[[str], Any]  # prints what is being done
Runs = dict[int, list[Run]]  # by number of ranks, in the order of rounds


@dataclasses.dataclass
class AllRuns:
    """The runs of all rounds."""

    strong: Runs
    weak: Runs
    alone: Runs  # on one rank, with an n-th of the atoms, by n
    together: dict[int, list[list[Run]]]  # n such runs at once
    calculator: list[float]  # seconds per step


def measure(args: argparse.Namespace, folder: Path, show: Show) -> dict[str, Any]:
    """Return all figures as plain values; folder: for the files of runs."""
    circumstances = command.circumstances()
    show("the model")
    path = (args.model or folder / "model.pt").resolve()
    if not args.model:
        ask_equipot(args, "write", preset=args.preset, model=str(path))
    model = ask_equipot(args, "describe", model=str(path))
    if "Si" not in model["elements"]:
        raise command.BenchmarkError(f"{path} knows {', '.join(model['elements'])}; expected Si among them")
    machine = Machine(folder, path, args.steps)
    runs = take_turns(args, machine, show)
    show("memory")
    small = machine.run(structure(machine, args.atoms / 10), 1)

    reach = model["cutoff"] + SKIN
    row_bytes = [model["number_bytes"] * width for width in model["feature_dims"][1:]]
    several = args.ranks[1:]
    strong = {row["ranks"]: row for row in figures.scaling(runs.strong)}
    checked = [("strong", runs.strong[n][0]) for n in several] + [("weak", runs.weak[n][0]) for n in several]
    per_atom = median(r.pair_seconds / r.atoms for r in runs.strong[1])
    return {
        **circumstances,
        "model": str(args.model or f"preset {args.preset}, random weights, {model['dtype']}"),
        **model,
        "reach": reach,
        "row_bytes": row_bytes,
        "strong": list(strong.values()),
        "weak": figures.scaling(runs.weak),
        "limit": [figures.limit(strong[n], runs.alone[n], runs.together[n]) for n in several],
        "calculator": figures.beside_calculator(runs.strong[1], runs.calculator),
        "memory": figures.memory(small, runs.strong[1][0]),
        "counts": [figures.counted_and_reported(k, r, box(r.atoms), reach, row_bytes) for k, r in checked],
        "projection": [projected(n, DENSITY, reach, row_bytes, per_atom) for n in PROJECTED],
        "runs": {**dataclasses.asdict(runs), "small": dataclasses.asdict(small)},
    }


def take_turns(args: argparse.Namespace, machine: Machine, show: Show) -> AllRuns:
    """Make the runs of all kinds in every round."""
    several = args.ranks[1:]
    runs = AllRuns(
        strong={n: [] for n in args.ranks},
        weak={n: [] for n in args.ranks},
        alone={n: [] for n in several},
        together={n: [] for n in several},
        calculator=[],
    )
    whole = structure(machine, args.atoms)
    step = {"model": str(machine.model), "data": str(whole), "steps": args.steps}
    for k in range(args.rounds):
        turn = f"round {k + 1} of {args.rounds}"
        run = functools.cache(machine.run)  # of this round
        for n in args.ranks:
            show(f"{turn}: strong scaling, {n} ranks")
            runs.strong[n].append(run(whole, n))
        show(f"{turn}: the calculator")
        runs.calculator.append(ask_equipot(args, "step", **step)["seconds"])
        for n in args.ranks:
            show(f"{turn}: weak scaling, {n} ranks")
            runs.weak[n].append(run(structure(machine, n * args.atoms_per_rank), n))
        for n in several:
            show(f"{turn}: {n} independent runs")
            part = structure(machine, args.atoms / n)
            runs.alone[n].append(run(part, 1))
            runs.together[n].append(machine.together(part, n))
    return runs


def ask_equipot(args: argparse.Namespace, task: str, **arguments: Any) -> dict[str, Any]:
    """Carry out a task of `equipot_worker.py` on one thread, in a fresh process that takes no memory from the runs."""
    log = args.work / "equipot.log"
    with Worker(Path(sys.executable), "benchmarks.scaling.equipot_worker", 1, log) as worker:
        return worker.ask(task, CALL_LIMIT, **arguments)


def structure(machine: Machine, n_atoms: float) -> Path:
    return machine.data(*silicon(repeats_for(n_atoms)))


def box(n_atoms: int) -> list[float]:
    """Return the edges (Å) of the supercell that has this number of atoms."""
    return [LATTICE_CONSTANT * n for n in repeats_for(n_atoms)]
