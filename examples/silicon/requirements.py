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
    found: str
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
    "C11": 10,
    "C12": 15,
    "C44_clamped": 15,
    "C44": 15,
    "optical_phonon": 5,
}


def requirements(output: Path, total_seconds: float) -> list[Requirement]:
    """All lines, from the JSON files in a folder."""

    def load(name: str) -> dict[str, Any]:
        return json.loads((output / f"{name}.json").read_text())

    return [
        *_training(load("evaluation")),
        *_crystal(load("elastic")),
        *_dynamics(load("md_ase"), load("md_lammps")),
        *_agreement(load("compare_ranks")),
        _below("time", "total time (min)", total_seconds / 60, 15, ".1f"),
    ]


def _below(part: str, name: str, value: float, limit: float, form: str) -> Requirement:
    """A size that must not be larger than a limit; NaN does not pass."""
    met = abs(value) <= limit
    return Requirement(part, name, value, format(value, form), f"≤ {limit:g}", met)


def _training(errors: dict[str, Any]) -> list[Requirement]:
    n = errors["n_frames"]
    return [
        _below(
            "training", f"forces, test RMSE of {n} frames (meV/Å)", 1e3 * errors["forces"]["rmse"], 60, ".1f"
        ),
        _below(
            "training", "energy, test RMSE (meV/atom)", 1e3 * errors["energy_per_atom"]["rmse"], 10, ".1f"
        ),
        _below("training", "stress, test RMSE (meV/Å³)", 1e3 * errors["stress"]["rmse"], 5, ".2f"),
    ]


def _crystal(elastic: dict[str, Any]) -> list[Requirement]:
    lines = []
    for key, limit in FROM_DFT.items():
        value, dft = elastic["model"][key], elastic["dft"][key]
        difference = 100 * (value / dft - 1)
        lines.append(
            Requirement(
                "crystal",
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
    length = f"{lammps['picoseconds']:g} ps"
    name = f"LAMMPS, {lammps['atoms']} atoms, {length} at {lammps['temperature_K']:.0f} K: energy drift"
    ase_length = f"{ase['nve_steps'] * ase['timestep_fs'] / 1000:g} ps"
    return [
        _below(
            "dynamics",
            f"ASE, {ase['atoms']} atoms, {ase_length}: energy drift (eV/atom)",
            ase["nve_drift_eV_per_atom"],
            1e-4,
            ".1e",
        ),
        _below("dynamics", f"{name}, fit (eV/atom)", lammps["drift_fit_eV_per_atom"], 1e-4, ".1e"),
        _below("dynamics", f"{name}, ends (eV/atom)", lammps["drift_ends_eV_per_atom"], 1e-4, ".1e"),
    ]


def _agreement(compared: dict[str, Any]) -> list[Requirement]:
    """One line for each precision and number of ranks; the value is the largest difference over its limit."""
    keys = ("energy_eV_per_atom", "forces_eV_per_A", "pressure_GPa")
    limits = {"float32": (1e-5, 1e-4, 1e-3), "float64": (1e-10, 1e-10, 1e-8)}
    lines = []
    for dtype, allowed in limits.items():
        for ranks, differences in compared[dtype].items():
            sizes = [differences[key] for key in keys]
            name = f"LAMMPS on {ranks} rank{'' if ranks == '1' else 's'} - ASE, {dtype} (eV/atom, eV/Å, GPa)"
            lines.append(
                Requirement(
                    "agreement",
                    name,
                    max(size / limit for size, limit in zip(sizes, allowed)),
                    ", ".join(f"{size:.0e}" for size in sizes),
                    "≤ " + ", ".join(f"{limit:.0e}" for limit in allowed),
                    all(size <= limit for size, limit in zip(sizes, allowed)),
                )
            )
    return lines
