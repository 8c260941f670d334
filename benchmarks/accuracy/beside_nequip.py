"""equipot beside nequip, trained for the same wall-clock time on the same frames and cores: test errors of both.

    python benchmarks/accuracy/beside_nequip.py si --data FOLDER --nequip-python ENV/bin/python [--minutes 20]

nequip lives in an environment of its own (python -m venv ENV && ENV/bin/pip install torch==2.13.0 nequip==0.19.1) and
has the settings of its tutorial (`nequip_tutorial.py`); equipot has those of `python benchmarks/accuracy`. Each side's
errors are from its own code, on the same test file. --only trains one side; the table is written when both are there.
The output folder keeps both configs, both logs and beside.md.
"""

import argparse
import csv
import datetime
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import yaml
from ase.calculators.singlepoint import SinglePointCalculator
from fit import fit, processor_seconds
from nequip_tutorial import settings
from result import errors, processor
from rich.console import Console
from rich.table import Table
from sets import SETS, config, split, write

from equipot.errors import EquipotError

VARIABLE = "EQUIPOT_NEQUIP_PYTHON"
Numbers = dict[str, float | int | str]


def main() -> int:
    args = arguments()
    output: Path = args.output or Path("runs/beside-nequip") / args.set
    console = Console()
    try:
        data = write(split(SETS[args.set], args.data, args.seed), output / "data")
        if args.only != "equipot":
            save(output / "nequip.json", train_nequip(args, data, output / "nequip"))
        if args.only != "nequip":
            save(output / "equipot.json", train_equipot(args, data, output / "equipot"))
    except (EquipotError, OSError, RuntimeError) as error:
        console.print(f"beside_nequip: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    sides = {name: output / f"{name}.json" for name in ("equipot", "nequip")}
    missing = [name for name, path in sides.items() if not path.exists()]
    if missing:
        console.print(f"no result of {missing[0]} yet: train it with --only {missing[0]}")
        return 0
    found = {name: json.loads(path.read_text()) for name, path in sides.items()}
    text = markdown(SETS[args.set].title, found)
    (output / "beside.md").write_text(text)
    console.print(table(SETS[args.set].title, found))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    named = os.environ.get(VARIABLE)
    add("set", choices=["si", "3bpa", "acac", "ethanol"])
    add("--data", type=Path, required=True, metavar="FOLDER", help="where the sets are")
    add("--minutes", type=float, default=20.0, help="of training of each side (default 20)")
    add("--threads", type=int, default=1, help="of each side (default 1)")
    add("--seed", type=int, default=1)
    add("--only", choices=["equipot", "nequip"], help="train one side, for one core each at the same time")
    add(
        "--nequip-python",
        type=Path,
        default=Path(named) if named else None,
        help=f"interpreter of nequip's environment (default ${VARIABLE})",
    )
    add("--output", type=Path, metavar="DIR", help="default: runs/beside-nequip/SET")
    args = parser.parse_args()
    if args.only != "equipot" and args.nequip_python is None:
        parser.error(f"--nequip-python or ${VARIABLE} must name the interpreter of nequip's environment")
    return args


def save(path: Path, values: Numbers) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n")


def train_equipot(args: argparse.Namespace, data: dict[str, str], output: Path) -> Numbers:
    values = config(
        SETS[args.set], data, output, max_time=60 * args.minutes, seed=args.seed, threads=args.threads
    )
    cost = fit(values, [], resume=False)
    energy, forces, _ = errors(output / "model.pt", data["test"], "rmse", "atom")["all"]
    with open(output / "metrics.csv") as file:
        epochs = sum(1 for _ in file) - 1
    return summary(args, energy, forces, epochs, cost["minutes"], cost["cpu_minutes"])


def train_nequip(args: argparse.Namespace, data: dict[str, str], output: Path) -> Numbers:
    """Raises RuntimeError when nequip fails, with the place of its log."""
    output.mkdir(parents=True, exist_ok=True)
    train = ase.io.read(data["train"], ":")
    alone = {f.get_chemical_symbols()[0]: f.get_potential_energy() for f in train if len(f) == 1}
    elements = sorted({s for frame in train for s in frame.get_chemical_symbols()})
    e0 = {e: float(alone[e]) for e in elements} if set(elements) <= set(alone) else None
    data = {name: without_stress(path, output / f"{name}.extxyz") for name, path in data.items()}
    values = settings(data, elements, e0, 60 * args.minutes, args.seed)
    values["hydra"] = {"run": {"dir": str((output / "run").resolve())}}
    (output / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    command = [str(args.nequip_python.parent / "nequip-train"), "-cp", str(output.resolve()), "-cn", "config"]
    environment = os.environ | {"OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}
    start, spent = time.monotonic(), 0.0
    with open(output / "log.txt", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        while process.poll() is None:
            spent = max(spent, processor_seconds(process.pid))
            time.sleep(1)
    minutes = (time.monotonic() - start) / 60
    text = (output / "log.txt").read_text()
    if process.returncode:
        raise RuntimeError(f"nequip-train ended with status {process.returncode}; see {output / 'log.txt'}")
    epochs = 0
    for path in (output / "run" / "metrics").rglob("metrics.csv"):
        with open(path) as file:
            epochs = max([epochs, *(1 + int(row["epoch"]) for row in csv.DictReader(file))])
    return summary(
        args, _metric(text, "per_atom_energy_rmse"), _metric(text, "forces_rmse"), epochs, minutes, spent / 60
    )


def without_stress(source: str, target: Path) -> str:
    """Energies and forces alone: nequip batches no frames with and without stress, and its tutorial has none.

    Isolated atoms are left out; without edges they cannot be trained on, and their energies are given as such.
    """
    frames = []
    for frame in ase.io.read(source, ":"):
        if len(frame) > 1:
            energy, forces = frame.get_potential_energy(), frame.get_forces()
            frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
            frames.append(frame)
    ase.io.write(target, frames)
    return str(target.resolve())


def _metric(text: str, name: str) -> float:
    """meV from nequip's table of test metrics (eV)."""
    found = re.findall(rf"test0_epoch/{name}\W+([0-9.eE+-]+)", text)
    if not found:
        raise RuntimeError(f"nequip's log has no test0_epoch/{name}")
    return 1000 * float(found[-1])


def summary(
    args: argparse.Namespace,
    energy: float | None,
    forces: float | None,
    epochs: int,
    minutes: float,
    cpu: float,
) -> Numbers:
    return {
        "energy": round(energy or 0.0, 3),
        "forces": round(forces or 0.0, 2),
        "epochs": epochs,
        "minutes": round(minutes, 1),
        "cpu_minutes": round(cpu, 1),
        "limit": args.minutes,
        "threads": args.threads,
        "seed": args.seed,
        "machine": processor(),
        "date": datetime.date.today().isoformat(),
    }


HEADS = ["", "forces (meV/Å)", "energy (meV/atom)", "epochs", "minutes", "processor minutes", "threads"]
KEYS = ["forces", "energy", "epochs", "minutes", "cpu_minutes", "threads"]


def markdown(title: str, found: dict[str, Numbers]) -> str:
    first = next(iter(found.values()))
    lines = [f"### {title}: test RMSE after {first['limit']:g} minutes of training each", ""]
    lines += ["| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    lines += [f"| {name} | " + " | ".join(f"{v[k]:g}" for k in KEYS) + " |" for name, v in found.items()]
    return "\n".join([*lines, "", f"{first['machine']}, {first['date']}, seed {first['seed']}."]) + "\n"


def table(title: str, found: dict[str, Numbers]) -> Table:
    result = Table(title=f"{title}: test RMSE after the same time")
    for k, head in enumerate(HEADS):
        result.add_column(head, justify="right" if k else "left")
    for name, values in found.items():
        result.add_row(name, *(f"{values[k]:g}" for k in KEYS))
    return result


if __name__ == "__main__":
    sys.exit(main())
