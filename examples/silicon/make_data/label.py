"""Step 2: energies, forces and stresses by DFT, from structures.extxyz to labelled.extxyz.

    mpiexec -n 2 gpaw python label.py

About 20 s for a structure on two cores, an hour for all. Stopped half-way, it goes on where it stopped.
"""

from pathlib import Path

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from ase.parallel import parprint, world
from level_of_theory import calculator

SOURCE, TARGET = Path("structures.extxyz"), Path("labelled.extxyz")


def label(atoms: Atoms) -> Atoms:
    """A copy with its labels. The energy is the free energy, whose derivatives the forces are."""
    atoms.calc = calculator()
    labels = {
        "energy": atoms.get_potential_energy(force_consistent=True),
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    labelled = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
    labelled.info.update({key: atoms.info[key] for key in ("config_type", "id")})
    labelled.calc = SinglePointCalculator(labelled, **labels)
    return labelled


def main() -> None:
    frames = read(SOURCE, index=":")
    done = len(read(TARGET, index=":")) if TARGET.exists() else 0
    world.barrier()  # all processes have counted before the first one writes
    for k, atoms in enumerate(frames[done:], start=done):
        labelled = label(atoms)
        write(TARGET, labelled, append=True)
        energy, force = labelled.get_potential_energy(), abs(labelled.get_forces()).max()
        parprint(k, atoms.info["config_type"], f"{energy:.4f} eV, {force:.3f} eV/Å", flush=True)


if __name__ == "__main__":
    main()
