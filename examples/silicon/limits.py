"""What the quickstart must reach, read from the files that its stages wrote."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from silicon import QUANTITIES


@dataclass(frozen=True)
class Requirement:
    """One line of the summary."""

    part: str
    name: str
    value: float
    text: str
    required: str
    met: bool
    dft: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


# Largest deviation from DFT in percent. The stress labels that elastic constants rest on have errors of a few
# percent themselves, from the basis of plane waves and the k-points of a small cell.
FROM_DFT = {
    "a0": 0.5,
    "bulk_modulus": 10,
    "C11": 15,
    "C12": 20,
    "C44_clamped": 15,
    "C44": 15,
    "optical_phonon": 5,
}


def requirements(output: Path) -> list[Requirement]:
    """All lines, from the JSON files in a folder."""

    def load(name: str) -> dict[str, Any]:
        return json.loads((output / f"{name}.json").read_text())

    return [
        *_training(load("evaluation")),
        *_crystal(load("elastic")),
        *_dynamics(load("md_ase"), load("md_lammps")),
        *_agreement(load("compare_ranks")),
    ]


def _below(part: str, name: str, value: float, limit: float, form: str) -> Requirement:
    """A size that must not be larger than a limit; NaN does not pass."""
    met = abs(value) <= limit
    return Requirement(part, name, value, format(value, form), f"≤ {limit:g}", met)


def _training(errors: dict[str, Any]) -> list[Requirement]:
    part = f"RMSE over {errors['n_frames']} test frames"
    forces, energy, stress = (1e3 * errors[key]["rmse"] for key in ("forces", "energy_per_atom", "stress"))
    return [
        _below(part, "forces (meV/Å)", forces, 60, ".1f"),
        _below(part, "energy (meV/atom)", energy, 20, ".1f"),
        _below(part, "stress (meV/Å³)", stress, 5, ".2f"),
    ]


def _crystal(elastic: dict[str, Any]) -> list[Requirement]:
    lines = []
    for key, limit in FROM_DFT.items():
        value, dft = elastic["model"][key], elastic["dft"][key]
        difference = 100 * (value / dft - 1)
        lines.append(
            Requirement(
                "Crystal",
                QUANTITIES[key],
                value,
                f"{value:.4g} ({difference:+.1f} %)",
                f"± {limit:g} %",
                abs(difference) <= limit,
                f"{dft:.4g}",
            )
        )
    return lines


def _dynamics(ase: dict[str, Any], lammps: dict[str, Any]) -> list[Requirement]:
    part = f"Energy drift of {lammps['atoms']} atoms (eV/atom)"
    lengths = ase["nve_steps"] * ase["timestep_fs"] / 1000, lammps["picoseconds"]
    return [
        _below(part, f"ASE, {lengths[0]:g} ps, ends", ase["nve_drift_eV_per_atom"], 1e-4, ".1e"),
        _below(part, f"LAMMPS, {lengths[1]:g} ps, ends", lammps["drift_ends_eV_per_atom"], 1e-4, ".1e"),
        _below(part, f"LAMMPS, {lengths[1]:g} ps, linear fit", lammps["drift_fit_eV_per_atom"], 1e-4, ".1e"),
    ]


def _agreement(compared: dict[str, Any]) -> list[Requirement]:
    """One line for each precision and quantity; the value is that of the worst number of ranks."""
    limits = {
        ("float32", "energy_eV_per_atom"): ("energy, float32 (eV/atom)", 1e-5),
        ("float32", "forces_eV_per_A"): ("forces, float32 (eV/Å)", 1e-4),
        ("float32", "pressure_GPa"): ("pressure, float32 (GPa)", 1e-3),
        ("float64", "energy_eV_per_atom"): ("energy, float64 (eV/atom)", 1e-10),
        ("float64", "forces_eV_per_A"): ("forces, float64 (eV/Å)", 1e-10),
        ("float64", "pressure_GPa"): ("pressure, float64 (GPa)", 1e-8),
    }
    lines = []
    for (dtype, key), (name, limit) in limits.items():
        sizes = [differences[key] for differences in compared[dtype].values()]
        text = " ".join(f"{size:.0e}" for size in sizes)
        met = all(size <= limit for size in sizes)
        part = f"LAMMPS - ASE on {', '.join(compared[dtype])} ranks"
        lines.append(Requirement(part, name, max(sizes), text, f"≤ {limit:g}", met))
    return lines
