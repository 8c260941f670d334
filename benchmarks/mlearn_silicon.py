"""Errors on the mlearn silicon set (Zuo et al., J. Phys. Chem. A 124, 731 (2020)) beside those of other potentials.

    python benchmarks/mlearn_silicon.py FOLDER [--minutes 30] [--preset small] [-o runs/mlearn-silicon]

FOLDER holds Si_train.extxyz and Si_test.extxyz with energy, forces and stress, config_type naming the group.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

# RMSE on the same test set, energy (meV/atom) and forces (meV/Å). MTP, NNP, M3GNet: Chen and Ong, Nat. Comput. Sci. 2,
# 718 (2022); SNAP and qSNAP: computed in LAMMPS with the potentials published with the set.
OTHERS = {
    "MTP": (3.0, 88.1),
    "NNP": (9.9, 174.2),
    "M3GNet": (9.6, 102.8),
    "SNAP": (8.06, 205.3),
    "qSNAP": (5.51, 176.9),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0, help="training time (default 30)")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/mlearn-silicon"))
    args = parser.parse_args()

    config = {
        "data": {
            "train": str((args.folder / "Si_train.extxyz").resolve()),
            "test": str((args.folder / "Si_test.extxyz").resolve()),
            "validation_fraction": 0.05,
        },
        "model": {"preset": args.preset, "cutoff": 5.0},
        "training": {"max_time": 60 * args.minutes, "seed": args.seed},
        "output": str(args.output),
    }
    args.output.mkdir(parents=True, exist_ok=True)
    file = args.output / "config.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    code = subprocess.run(
        [sys.executable, "-m", "equipot.cli.main", "train", str(file), "--overwrite"]
    ).returncode
    if code == 0:
        show(json.loads((args.output / "evaluation.json").read_text()), args)
    return code


def show(evaluation: dict, args: argparse.Namespace) -> None:
    table = Table(title=f"mlearn Si, test RMSE; equipot {args.preset}, {args.minutes:g} minutes of training")
    for column in ("potential", "group", "frames", "energy (meV/atom)", "forces (meV/Å)", "stress (meV/Å³)"):
        table.add_column(column, justify="left" if column in ("potential", "group") else "right")

    def number(errors: dict | None) -> str:
        return "–" if not errors or errors["rmse"] is None else f"{1000 * errors['rmse']:.2f}"

    def row(name: str, group: str, errors: dict) -> None:
        frames = errors["energy_per_atom"]["count"] if errors["energy_per_atom"] else 0
        table.add_row(
            name, group, str(frames), *(number(errors[k]) for k in ("energy_per_atom", "forces", "stress"))
        )

    for group, errors in sorted(evaluation["groups"].items()):
        row("equipot", group, errors)
    table.add_section()
    row("equipot", "all", evaluation)
    for name, (energy, forces) in OTHERS.items():
        table.add_row(name, "all", "", f"{energy:.2f}", f"{forces:.1f}", "")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
