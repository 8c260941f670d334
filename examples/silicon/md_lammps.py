"""Molecular dynamics of 216 atoms in LAMMPS at constant energy: 5 ps in steps of 1 fs, on all cores.

The total energy must stay where it is: its drift shows whether forces are the derivatives of the energy, in
the exported float32 model, across MPI ranks, through rebuilt neighbour lists.

Writes md_lammps.data, md_lammps.dump (the trajectory), md_lammps.log, md_lammps.json and md_lammps.png.
"""

import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
from results import arguments, parse, save, show
from silicon import HERE, crystal

sys.path.insert(0, str(HERE.parent))
from common.lammps import available_cores, lmp, prepare, write_data

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="unit cells along each edge (default: 3)")
    parser.add_argument("--steps", type=int, default=5000, help="of 1 fs, watched (default: 5000)")
    parser.add_argument("--ranks", type=int, help="MPI processes (default: one per core, 4 at most)")
    args = parse(parser)
    ranks = args.ranks or min(4, available_cores())
    prepare()
    atoms = crystal(args.repeat)
    path = args.output / "md_lammps"
    write_data(path.with_suffix(".data"), atoms, ["Si"])
    start = time.perf_counter()
    _, watched = lmp(
        HERE / "in.nve",
        ranks,
        path.with_suffix(".log"),
        model=args.model,
        data=path.with_suffix(".data"),
        dump=path.with_suffix(".dump"),
        steps=args.steps,
    )
    seconds = time.perf_counter() - start
    picoseconds = watched["Step"] / 1000
    energy = watched["TotEng"] / len(atoms)
    slope = np.polyfit(picoseconds, energy, 1)[0]
    values = {
        "atoms": len(atoms),
        "ranks": ranks,
        "picoseconds": float(picoseconds[-1]),
        "temperature_K": float(watched["Temp"].mean()),
        "drift_fit_eV_per_atom": float(slope * picoseconds[-1]),
        "drift_ends_eV_per_atom": float(energy[-1] - energy[0]),
        "fluctuation_eV_per_atom": float(energy.std()),
        "seconds": seconds,
        "us_per_atom_and_step": 1e6 * seconds / (args.steps + 500) / len(atoms),
    }
    show(
        f"LAMMPS, {len(atoms)} atoms, MPI ranks: {ranks}, {values['picoseconds']:g} ps, {args.model}",
        ("", "value"),
        [
            ("mean temperature (K)", f"{values['temperature_K']:.0f}"),
            ("energy drift, linear fit (eV/atom)", f"{values['drift_fit_eV_per_atom']:+.1e}"),
            ("energy drift, last minus first (eV/atom)", f"{values['drift_ends_eV_per_atom']:+.1e}"),
            ("energy, standard deviation (eV/atom)", f"{values['fluctuation_eV_per_atom']:.1e}"),
            ("time per step and atom (µs)", f"{values['us_per_atom_and_step']:.0f}"),
            ("trajectory", str(path.with_suffix(".dump"))),
        ],
    )
    plot(path.with_suffix(".png"), picoseconds, energy, watched["Temp"])
    save(args.output, "md_lammps", values)


def plot(path: Path, picoseconds: np.ndarray, energy: np.ndarray, temperature: np.ndarray) -> None:
    figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(6, 5), layout="constrained")
    top.plot(picoseconds, temperature)
    top.set_ylabel("temperature (K)")
    bottom.plot(picoseconds, 1e6 * (energy - energy[0]))
    bottom.set_ylabel("total energy (µeV/atom)")
    bottom.set_xlabel("time (ps)")
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
