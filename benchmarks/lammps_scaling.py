"""How equipot scales over the MPI ranks of LAMMPS, on silicon with a cutoff of 5 Å, one thread per rank.

    python benchmarks/lammps_scaling.py [--preset small|medium|large] [--ranks 1 2 4] [--json FILE]

Strong scaling (one system on more ranks), weak scaling (more ranks with as many atoms each), LAMMPS beside the ASE
calculator on one rank, memory, and a projection to clusters from counts. Runs of all kinds take turns in every round,
so that a busy machine slows all of them. `independent` are as many runs on one rank at once as there are ranks, with
no communication at all: what cores take from each other by sharing caches and memory, no program can get back.
Networks have random weights. More ranks than cores measures the waiting of MPI and nothing else.
"""

import argparse
import datetime
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from peers.silicon import LATTICE_CONSTANT, repeats_for, silicon
from rich.console import Console
from rich.table import Table
from scaling.projection import projected
from scaling.runs import SKIN, Machine, Run, RunError

DENSITY = 8 / LATTICE_CONSTANT**3
MODEL = """
import sys
from equipot.config import ModelConfig
from equipot.export import write_model
from equipot.potential import Potential
from equipot.spec import PotentialSpec
config = ModelConfig(preset=sys.argv[1], cutoff=5.0)
spec = PotentialSpec.from_config(config, ["Si"], e0=[0.0], scales=[1.0], neighbours=[28.0])
potential = Potential(spec, seed=1)
write_model(sys.argv[2], potential, verify=False)
print(*potential.feature_dims)
"""
STEP = """
import json, sys
import torch
from ase.io import read
from equipot.analysis.speed import measure
from equipot.export import load_model
torch.set_num_threads(1)
atoms = read(sys.argv[2], format="lammps-data", atom_style="atomic", units="metal")
atoms.numbers[:] = 14
found = measure(load_model(sys.argv[1]), atoms, steps=int(sys.argv[3]))["seconds"]["total"]
print(json.dumps(found["median"]))
"""


def main() -> int:
    args = arguments()
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        with tempfile.TemporaryDirectory() as folder, console.status("") as status:
            results = measure(args, Path(folder), status.update)
    except RunError as error:
        console.print(f"equipot: {error}", style="red", markup=False)
        return 1
    show(console, results)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--preset", choices=["tiny", "small", "medium", "large"], default="medium")
    add("--ranks", nargs="+", type=int, default=[1, 2], help="numbers of ranks (default 1 2)")
    add("--atoms", type=float, default=10648, help="of strong scaling, about (default 10648)")
    add("--atoms-per-rank", type=float, default=5324, help="of weak scaling, about (default 5324)")
    add("--rounds", type=int, default=3, help="turns of every run (default 3)")
    add("--steps", type=int, default=8, help="measured steps of a run (default 8)")
    add("--json", type=Path, help="file for all figures")
    return parser.parse_args()


def measure(args: argparse.Namespace, folder: Path, say: Any) -> dict[str, Any]:
    """All figures as plain values: seconds per step by kind and round."""
    model = folder / "model.pt"
    widths = [int(w) for w in python(MODEL, args.preset, str(model)).split()]
    machine = Machine(folder, model, args.steps)
    most = max(args.ranks)
    strong = machine.data(*silicon(repeats_for(args.atoms)))
    half = machine.data(*silicon(repeats_for(args.atoms / most)))
    weak = {n: machine.data(*silicon(repeats_for(n * args.atoms_per_rank))) for n in args.ranks}
    found: dict[str, list[Run]] = {}
    calculator: list[float] = []

    def keep(kind: str, run: Run) -> None:
        found.setdefault(kind, []).append(run)

    for k in range(args.rounds):
        for n in args.ranks:
            say(f"round {k + 1} of {args.rounds}: {n} ranks")
            keep(f"strong {n}", machine.run(strong, n))
            keep(f"weak {n}", machine.run(weak[n], n))
        say(f"round {k + 1} of {args.rounds}: independent runs, and the calculator")
        keep("single", machine.run(half, 1))
        for process in [machine.start(half, 1) for _ in range(most)]:
            keep("independent", machine.finish(process))
        calculator.append(float(json.loads(python(STEP, str(model), str(strong), str(args.steps)))))
    small = machine.run(machine.data(*silicon(repeats_for(1000))), 1)
    one = found.get("strong 1") or [machine.run(strong, 1)]
    per_atom = median(r.pair_seconds / r.atoms for r in one)
    rows = [4 * w for w in widths[1:]]
    return {
        "date": datetime.date.today().isoformat(),
        "preset": args.preset,
        "ranks": args.ranks,
        "runs": {kind: [vars(r) for r in runs] for kind, runs in found.items()},
        "calculator_seconds": calculator,
        "lammps_to_calculator": [r.pair_seconds / c for r, c in zip(one, calculator)],
        "bytes_per_atom": (one[0].memory_bytes - small.memory_bytes) / (one[0].atoms - small.atoms),
        "row_bytes": rows,
        "projection": [
            projected(n, DENSITY, 5.0 + SKIN, rows, per_atom)
            for n in (250, 500, 1000, 2000, 4000, 8000, 32000)
        ],
    }


def python(code: str, *arguments: str) -> str:
    """Output of a process of its own: LAMMPS and torch are not mixed in this one."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RunError((done.stderr.strip().splitlines() or ["a Python process failed"])[-1])
    return done.stdout


def show(console: Console, results: dict[str, Any]) -> None:
    runs = results["runs"]
    for kind in ("strong", "weak"):
        table = Table(title=f"{kind} scaling, preset {results['preset']}", title_justify="left")
        for heading in (
            "ranks", "atoms", "ms per step", "least", "speed-up", "of minima", "efficiency",
            "waiting", "exchange", "MiB received", "MiB per rank",
        ):  # fmt: skip
            table.add_column(heading, justify="right")
        base = runs.get(f"{kind} 1")
        for n in results["ranks"]:
            of_n = runs[f"{kind} {n}"]
            gains = [of_n[0]["atoms"] / base[0]["atoms"] * f(seconds(base)) / f(seconds(of_n)) for f in (median, min)] if base else [math.nan] * 2  # noqa: E501  # fmt: skip
            share = {p: 100 * median(share_of(r, p) for r in of_n) for p in ("waiting", "exchange")}
            table.add_row(
                str(n), str(of_n[0]["atoms"]), f"{1e3 * median(seconds(of_n)):.1f}", f"{1e3 * min(seconds(of_n)):.1f}",
                f"{gains[0]:.2f}", f"{gains[1]:.2f}", f"{100 * gains[0] / n:.0f} %", f"{share['waiting']:.1f} %",
                f"{share['exchange']:.1f} %", f"{of_n[0]['received_bytes'] / 2**20:.1f}",
                f"{max(r['memory_bytes'] for r in of_n) / 2**20:.0f}",
            )  # fmt: skip
        console.print(table)
    most = max(results["ranks"])
    ideal = most * median(seconds(runs["single"])) / median(seconds(runs["independent"]))
    console.print(
        f"{most} independent runs at once, no communication: {ideal:.2f} times the work of one "
        f"(by minima {most * min(seconds(runs['single'])) / min(seconds(runs['independent'])):.2f})"
    )
    ratios = results["lammps_to_calculator"]
    console.print(
        f"LAMMPS on one rank, time of the pair style to that of the ASE calculator's step: "
        f"{median(ratios):.3f} ({', '.join(f'{r:.3f}' for r in ratios)})"
    )
    per_atom = results["bytes_per_atom"]
    console.print(f"memory: {per_atom / 1024:.1f} KiB per atom, {2**30 / per_atom:,.0f} atoms per GiB")
    table = Table(
        title="clusters, from counts: cubic subdomains, divided in all directions; time of the rank's own atoms as "
        "measured here, the bandwidth each rank needs so that the transfer takes a tenth of it",
        title_justify="left",
    )
    for heading in ("atoms per rank", "edge Å", "ghosts", "ghosts per atom", "exchanges", "MiB per step", "compute ms", "GB/s"):  # noqa: E501  # fmt: skip
        table.add_column(heading, justify="right")
    for row in results["projection"]:
        table.add_row(
            f"{row['atoms']}", f"{row['edge']:.1f}", f"{row['ghosts']:.0f}", f"{row['ghosts'] / row['atoms']:.2f}",
            f"{row['exchanges']}", f"{row['received_bytes'] / 2**20:.1f}", f"{1e3 * row['compute_seconds']:.0f}",
            f"{row['bandwidth'] * 1e-9:.2f}",
        )  # fmt: skip
    console.print(table)


def seconds(runs: list[dict[str, Any]]) -> list[float]:
    return [r["seconds"] for r in runs]


def share_of(run: dict[str, Any], part: str) -> float:
    return run["milliseconds"][part] / sum(run["milliseconds"].values())


if __name__ == "__main__":
    sys.exit(main())
