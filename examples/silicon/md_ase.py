"""Molecular dynamics of 216 atoms in ASE: first with a thermostat, then at constant energy.

Writes md_ase.traj (`ase gui` shows it), md_ase.json and md_ase.png.
"""

import time
from pathlib import Path

import matplotlib
import numpy as np
import torch
from ase import Atoms, units
from ase.io import Trajectory
from ase.md.bussi import Bussi
from ase.md.md import MolecularDynamics
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet
from results import arguments, parse, save, show
from silicon import crystal

from equipot.calculators import EquipotCalculator

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="unit cells along each edge (default: 3)")
    parser.add_argument("--temperature", type=float, default=300.0, help="K (default: 300)")
    parser.add_argument("--nvt", type=int, default=300, help="steps with thermostat (default: 300)")
    parser.add_argument("--nve", type=int, default=500, help="steps at constant energy (default: 500)")
    parser.add_argument("--timestep", type=float, default=1.0, help="fs (default: 1)")
    # So few atoms gain little from a second thread, and lose much when another program holds its core.
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    args = parse(parser)
    torch.set_num_threads(args.threads)
    atoms = crystal(args.repeat)
    atoms.calc = EquipotCalculator(args.model)
    rng = np.random.default_rng(7)
    # Half of the kinetic energy goes into the bonds at once, so it starts with twice as much.
    width = np.sqrt(units.kB * 2 * args.temperature / atoms.get_masses())
    atoms.set_velocities(width[:, None] * rng.standard_normal((len(atoms), 3)))
    Stationary(atoms)
    step = args.timestep * units.fs
    thermostat = Bussi(atoms, step, temperature_K=args.temperature, taut=50 * units.fs, rng=rng)
    start = time.perf_counter()
    with Trajectory(args.output / "md_ase.traj", "w") as trajectory:
        nvt = follow(thermostat, atoms, args.nvt, trajectory)
        nve = follow(VelocityVerlet(atoms, step), atoms, args.nve, trajectory)
    seconds = time.perf_counter() - start
    steps = args.nvt + args.nve
    total = nve["total"]
    values = {
        "atoms": len(atoms),
        "timestep_fs": args.timestep,
        "nvt_steps": args.nvt,
        "nve_steps": args.nve,
        "nve_temperature_K": float(nve["temperature"].mean()),
        "nve_drift_eV_per_atom": float(total[-1] - total[0]),
        "nve_largest_deviation_eV_per_atom": float(np.abs(total - total[0]).max()),
        "us_per_atom_and_step": 1e6 * seconds / steps / len(atoms),
    }
    show(
        f"ASE, {len(atoms)} atoms, {args.nvt} + {args.nve} steps of {args.timestep:g} fs, {args.model}",
        ("", "value"),
        [
            ("mean temperature at constant energy (K)", f"{values['nve_temperature_K']:.0f}"),
            ("energy, last minus first (eV/atom)", f"{values['nve_drift_eV_per_atom']:+.1e}"),
            ("energy, largest deviation (eV/atom)", f"{values['nve_largest_deviation_eV_per_atom']:.1e}"),
            ("time per step and atom (µs)", f"{values['us_per_atom_and_step']:.0f}"),
            ("trajectory", str(args.output / "md_ase.traj")),
        ],
    )
    plot(args.output / "md_ase.png", args.timestep, nvt, nve)
    save(args.output, "md_ase", values)


def follow(
    dynamics: MolecularDynamics, atoms: Atoms, steps: int, trajectory: Trajectory
) -> dict[str, np.ndarray]:
    """Run, and return temperature (K) and total energy (eV/atom) of every step; every tenth goes to the file."""
    temperature, total = [], []

    def record() -> None:
        temperature.append(atoms.get_temperature())
        total.append(atoms.get_total_energy() / len(atoms))

    dynamics.attach(record)
    dynamics.attach(trajectory.write, interval=10, atoms=atoms)
    dynamics.run(steps)
    return {"temperature": np.array(temperature), "total": np.array(total)}


def plot(path: Path, timestep: float, nvt: dict[str, np.ndarray], nve: dict[str, np.ndarray]) -> None:
    figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(6, 5), layout="constrained")
    start = 0
    for values, name in ((nvt, "thermostat"), (nve, "constant energy")):
        t = (start + np.arange(len(values["total"]))) * timestep / 1000
        top.plot(t, values["temperature"], label=name)
        start += len(t) - 1
        if values is nve:
            bottom.plot(t, 1e6 * (values["total"] - values["total"][0]), color="C1")
    top.set_ylabel("temperature (K)")
    top.legend()
    bottom.set_ylabel("total energy (µeV/atom)")
    bottom.set_xlabel("time (ps)")
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
