"""Writing LAMMPS inputs, running the real `lmp` under MPI, and reading what it printed."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from numpy.typing import NDArray

BIN = Path(sys.executable).parent
PRESSURE = 1.6021765e6  # bar per eV/Å³ in LAMMPS's metal units

# per-atom columns of a dump: energy, forces, stress · volume
MEASURE = """
compute e all pe/atom
compute s all stress/atom NULL virial
compute etotal all reduce sum c_e
compute stotal all reduce sum c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6]
compute w all pressure NULL virial
thermo_style custom step pe c_etotal c_w[1] c_w[2] c_w[3] c_w[4] c_w[5] c_w[6] c_stotal[*] vol
thermo_modify norm no format float %.17g
dump d all custom 1 {name}.dump id type c_e fx fy fz c_s[1] c_s[2] c_s[3] c_s[4] c_s[5] c_s[6]
dump_modify d format float %.17g sort id
"""


@dataclass
class Measured:
    """One `run 0`: eV, eV/Å; six-component tensors in the order xx, yy, zz, xy, xz, yz."""

    energy: float
    summed_atomic_energy: float
    virial: NDArray  # (6,) eV
    summed_stress: NDArray  # (6,) eV, should be minus the virial
    atomic_energies: NDArray  # (n,)
    forces: NDArray  # (n, 3)
    atomic_stress: NDArray  # (n, 6)


def lmp(script: str, folder: Path, ranks: int = 1, timeout: float = 120) -> subprocess.CompletedProcess:
    """Run an input; a hang is an error (subprocess.TimeoutExpired)."""
    (folder / "in.lammps").write_text(script)
    command = [BIN / "mpiexec", "-n", str(ranks), BIN / "lmp", "-in", "in.lammps", "-log", "none"]
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def good(run: subprocess.CompletedProcess) -> str:
    """The output of a run that had to succeed."""
    errors = [line for line in run.stdout.splitlines() if "ERROR" in line]
    assert run.returncode == 0, errors or run.stdout[-2000:] + run.stderr[-2000:]
    return run.stdout


def write_data(path: Path, atoms: Atoms, species: list[str]) -> None:
    """Data file in LAMMPS's frame: the cell must be lower triangular, so that nothing is rotated."""
    assert np.allclose(np.triu(np.asarray(atoms.cell), 1), 0)
    write(path, atoms, format="lammps-data", specorder=species, masses=True, atom_style="atomic")


def setup(
    name: str, model: Path, boundary: str = "p p p", coeff: str = "Si O", options: str = "", before: str = ""
) -> str:
    """Input up to the measurement; `before` goes before the box."""
    return f"""
clear
units metal
atom_style atomic
atom_modify map array
newton on
boundary {boundary}
{before}
read_data {name}.data
pair_style equipot {options}
pair_coeff * * {model} {coeff}
neighbor 1.0 bin
neigh_modify delay 0 every 1 check yes
"""


def measured(output: str, folder: Path, name: str) -> Measured:
    """The numbers of the `run 0` between the marks of this name (see `measure`)."""
    block = output.split(f"BEGIN {name}\n")[1].split(f"END {name}\n")[0]
    line = next(text for text in block.splitlines() if re.match(r"^\s+0\s", text))
    values = np.array(line.split(), dtype=float)
    dump = (folder / f"{name}.dump").read_text().split("ITEM: ATOMS")[-1].splitlines()[1:]
    rows = np.array([row.split() for row in dump], dtype=float).reshape(-1, 12)
    volume = values[15]
    return Measured(
        energy=values[1],
        summed_atomic_energy=values[2],
        virial=values[3:9] * volume / PRESSURE,
        summed_stress=values[9:15] / PRESSURE,
        atomic_energies=rows[:, 2],
        forces=rows[:, 3:6],
        atomic_stress=rows[:, 6:] / PRESSURE,
    )


def measure(name: str) -> str:
    return MEASURE.format(name=name) + f'print "BEGIN {name}"\nrun 0\nprint "END {name}"\n'
