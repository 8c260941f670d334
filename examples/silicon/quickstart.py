"""Everything once: train, evaluate, run in ASE and in LAMMPS, and compare with DFT. `make quickstart` calls this.

Each stage is a command that can be run alone; they are printed. At the end one table says what came out and
whether it is as it should be; it is also written to summary.json. The exit code is 1 if anything is not.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from limits import Requirement, requirements
from rich.console import Console
from rich.table import Table
from silicon import HERE

PROGRAMS = Path(sys.executable).parent
CONSOLE = Console()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path("runs/quickstart"), help="folder (default: %(default)s)"
    )
    parser.add_argument(
        "--installation", type=Path, metavar="FILE", help="file with the seconds that the installation took"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="of the training, e.g. training.max_epochs=5"
    )
    args = parser.parse_args()
    seconds: dict[str, float] = {}
    if args.installation is not None:
        seconds["installation"] = float(args.installation.read_text())
    for name, command in stages(args.output, args.overrides):
        seconds[name] = run(name, command)
    epochs = len((args.output / "metrics.csv").read_text().splitlines()) - 1
    total = sum(seconds.values())
    results = requirements(args.output)
    CONSOLE.print(results_table(results))
    CONSOLE.print(times_table(seconds, total, epochs))
    CONSOLE.print(files_table(args.output))
    passed = all(r.met for r in results)
    summary = {
        "passed": passed,
        "results": [r.to_dict() for r in results],
        "epochs": epochs,
        "seconds": {**{k: round(v, 1) for k, v in seconds.items()}, "total": round(total, 1)},
    }
    (args.output / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    missed = [f"{r.part}, {r.name}" for r in results if not r.met]
    CONSOLE.print(
        "[bold green]All requirements are met.[/]"
        if passed
        else f"[bold red]Not met: {'; '.join(missed)}.[/]"
    )
    return 0 if passed else 1


def stages(output: Path, overrides: list[str]) -> list[tuple[str, list[str]]]:
    """Name and command of every stage, in order."""
    equipot = str(PROGRAMS / "equipot")
    model, model64 = str(output / "model.pt"), str(output / "model64.pt")
    best = str(output / "checkpoints" / "best.ckpt")
    config = str(HERE / "config.yaml")

    def example(name: str, *options: str) -> list[str]:
        return [sys.executable, str(HERE / f"{name}.py"), "--model", model, *options]

    return [
        ("training", [equipot, "train", config, f"output={output}", *overrides, "--overwrite"]),
        ("float64 export", [equipot, "export", best, "-o", model64, "--dtype", "float64"]),
        ("LAMMPS plugin", [equipot, "lammps", "--model", model]),
        ("equation of state", example("equation_of_state")),
        ("elastic constants, phonon", example("elastic")),
        ("ASE dynamics", example("md_ase")),
        ("LAMMPS against ASE", example("compare_ranks", "--model64", model64)),
        ("LAMMPS dynamics", example("md_lammps")),
    ]


def run(name: str, command: list[str]) -> float:
    """Run a stage and return its seconds; a failure ends everything."""
    CONSOLE.rule(f"[bold]{name}")
    CONSOLE.print("$ " + shlex.join(command), markup=False, highlight=False, soft_wrap=True)
    start = time.perf_counter()
    code = subprocess.run(command).returncode
    if code != 0:
        sys.exit(f"quickstart: '{name}' failed (exit code {code}); its message is above")
    return time.perf_counter() - start


def results_table(results: list[Requirement]) -> Table:
    table = Table(title="Quickstart: silicon", title_justify="left")
    table.add_column("")
    for column in ("value", "DFT", "required"):
        table.add_column(column, justify="right")
    table.add_column("")
    part = ""
    for r in results:
        if r.part != part:
            table.add_section()
            table.add_row(f"[bold]{r.part}[/]")
        part = r.part
        table.add_row(f"  {r.name}", r.text, r.dft, r.required, "[green]ok[/]" if r.met else "[bold red]✗[/]")
    return table


def times_table(seconds: dict[str, float], total: float, epochs: int) -> Table:
    table = Table(title="Wall time", title_justify="left")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    for name, value in seconds.items():
        stage = f"training, {epochs} epochs" if name == "training" else name
        table.add_row(stage, f"{value:.0f}")
    table.add_section()
    table.add_row("total", f"{total:.0f}")
    return table


def files_table(output: Path) -> Table:
    table = Table(title=f"Files in {output}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column()
    for names, what in (
        ("model.pt, model64.pt", "the potential in float32 and in float64"),
        ("checkpoints, metrics.csv, learning.png", "the training"),
        ("evaluation.json, parity.png, predictions.extxyz", "errors on the test set"),
        ("equation_of_state.png, elastic.json", "the crystal beside DFT"),
        ("md_ase.traj, md_ase.png", "dynamics in ASE"),
        ("md_lammps.dump, md_lammps.png, md_lammps.log", "dynamics in LAMMPS"),
        ("summary.json", "these tables"),
    ):
        table.add_row(names, what)
    return table


if __name__ == "__main__":
    sys.exit(main())
