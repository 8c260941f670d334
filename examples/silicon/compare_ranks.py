"""One structure in LAMMPS on 1, 2 and 4 MPI ranks and in ASE: energy, forces and pressure must agree.

The structure is a strained, sheared supercell with displaced atoms, so that no force vanishes by symmetry and
atoms lie on both sides of every border between ranks. With --model64, the same model in float64 (`equipot
export CHECKPOINT -o model64.pt --dtype float64`), it shows that what remains in float32 is rounding.

Writes compare_ranks.json, and inputs and outputs of LAMMPS into the folder compare_ranks.
"""

import sys
from pathlib import Path

import numpy as np
from ase import Atoms, units
from results import arguments, parse, save, show
from silicon import HERE, distorted_supercell

sys.path.insert(0, str(HERE.parent))
from common.lammps import PRESSURE, lmp, prepare, write_data

from equipot.calculators import EquipotCalculator
from equipot.model_file import read_metadata

RANKS = (1, 2, 4)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model64", type=Path, help="the same model in float64")
    parser.add_argument("--repeat", type=int, default=3, help="unit cells along each edge (default: 3)")
    args = parse(parser)
    if args.model64 is not None and not args.model64.is_file():
        parser.error(
            f"{args.model64} does not exist; write it with `equipot export CHECKPOINT -o FILE --dtype float64`"
        )
    prepare()
    atoms = distorted_supercell(args.repeat)
    folder = args.output / "compare_ranks"
    folder.mkdir(exist_ok=True)
    write_data(folder / "structure.data", atoms, ["Si"])
    found: dict[str, dict[str, dict[str, float]]] = {}
    for model in [args.model] + ([args.model64] if args.model64 else []):
        dtype = read_metadata(model).spec["dtype"]
        found[dtype] = compare(atoms, model, folder)
    show(
        f"LAMMPS minus ASE, {len(atoms)} atoms, {args.model}",
        ("", "ranks", "energy (eV/atom)", "forces (eV/Å)", "pressure (GPa)"),
        [
            (
                dtype,
                ranks,
                f"{d['energy_eV_per_atom']:.1e}",
                f"{d['forces_eV_per_A']:.1e}",
                f"{d['pressure_GPa']:.1e}",
            )
            for dtype, by_ranks in found.items()
            for ranks, d in by_ranks.items()
        ],
    )
    save(args.output, "compare_ranks", {"atoms": len(atoms), **found})


def compare(atoms: Atoms, model: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Largest differences between LAMMPS and ASE by number of ranks."""
    atoms = atoms.copy()
    atoms.calc = EquipotCalculator(model)
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    differences = {}
    for ranks in RANKS:
        dump = folder / f"{model.stem}-{ranks}.dump"
        (table,) = lmp(
            HERE / "in.forces",
            ranks,
            dump.with_suffix(".log"),
            model=model,
            data=folder / "structure.data",
            forces=dump,
        )
        rows = np.loadtxt(dump, skiprows=9)
        # Atoms have no velocities: the pressure is minus the stress, in LAMMPS's bar.
        pressure = np.array([table[name][0] for name in ("Pxx", "Pyy", "Pzz", "Pyz", "Pxz", "Pxy")])
        differences[str(ranks)] = {
            "energy_eV_per_atom": float(abs(table["PotEng"][0] - energy) / len(atoms)),
            "forces_eV_per_A": float(np.abs(rows[:, 1:] - forces).max()),
            "pressure_GPa": float(np.abs(pressure / PRESSURE + stress).max() / units.GPa),
        }
    return differences


if __name__ == "__main__":
    main()
