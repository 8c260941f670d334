"""Running the real `lmp` of this environment under MPI, and reading the table it prints."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from silicon import HERE

PROGRAMS = Path(sys.executable).parent
PRESSURE = 1.6021765e6  # bar per eV/Å³ in LAMMPS's units metal
# What the plugin puts on the command line's screen is kept in a log file of this name beside the results.
FAILED = "LAMMPS stopped; the whole output is in {log}; its last lines are:\n{tail}"


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_data(path: Path, atoms: Atoms) -> None:
    """A LAMMPS data file; the cell must be lower triangular, so that nothing is rotated."""
    write(path, atoms, format="lammps-data", specorder=["Si"], masses=True, atom_style="atomic")


def lmp(name: str, ranks: int, log: Path, **variables: object) -> list[dict[str, np.ndarray]]:
    """Run an input of this folder and return the thermo table of each of its runs, by column name.

    ranks: MPI processes; variables: `-var` of the input. Ends the program with LAMMPS's message if it fails.
    """
    command: list[str] = [str(PROGRAMS / "mpiexec"), "-n", str(ranks), str(PROGRAMS / "lmp")]
    command += ["-in", str(HERE / name), "-log", str(log), "-screen", "none"]
    for key, value in variables.items():
        command += ["-var", key, str(value)]
    # One thread per rank: ranks are what is spread over the cores.
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    text = log.read_text() if log.exists() else ""
    if run.returncode != 0:
        tail = (text + run.stdout + run.stderr).splitlines()[-8:]
        sys.exit(FAILED.format(log=log, tail="\n".join(tail)))
    return tables(text)


def tables(log: str) -> list[dict[str, np.ndarray]]:
    """Thermo tables: they begin with the line of column names and end before `Loop time of`."""
    found: list[dict[str, np.ndarray]] = []
    rows: list[list[float]] = []
    columns: list[str] = []
    for line in log.splitlines():
        words = line.split()
        if words[:1] == ["Step"]:
            columns, rows = words, []
        elif line.startswith("Loop time of") and columns:
            values = np.array(rows)
            found.append({column: values[:, k] for k, column in enumerate(columns)})
            columns = []
        elif columns and words and words[0].isdigit():
            rows.append([float(word) for word in words])
    return found
