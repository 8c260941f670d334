"""Energy and pressure of the crystal over its volume: the model beside the DFT labels.

Writes equation_of_state.json and equation_of_state.png. Most of the 15 labelled volumes were trained on; what
is tested is the curve between them, its minimum and its curvature.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from ase import units
from ase.eos import EquationOfState
from results import arguments, parse, percent, save, show
from silicon import DFT, crystal, volume_frames

from equipot.calculators import EquipotCalculator
from equipot.properties.physics import equation_of_state

matplotlib.use("Agg")
import matplotlib.pyplot as plt

# Birch-Murnaghan's curve describes volumes near the minimum; farther ones would bend the fit.
NEAR = 0.045


def main() -> None:
    args = parse(arguments(__doc__))
    calculator = EquipotCalculator(args.model)
    frames = volume_frames()
    dft = labels(frames)
    model = predictions(frames, calculator)
    dft_fit = fit(dft)
    model_fit = equation_of_state(crystal(), calculator, strains=np.linspace(-0.04, 0.04, 9))
    found = {"a0": model_fit["a0"], "bulk_modulus": model_fit["bulk_modulus"]}
    # Energies enter as differences to the equilibrium: that is what the mechanics of a crystal depends on.
    error = (model["energy"] - model["energy"].min()) - (dft["energy"] - dft["energy"].min())
    show(
        f"Equation of state, {args.model}",
        ("", "model", "DFT", "difference"),
        [
            (
                "lattice parameter (Å)",
                f"{found['a0']:.4f}",
                f"{dft_fit['a0']:.4f}",
                percent(found["a0"], dft_fit["a0"]),
            ),
            (
                "bulk modulus (GPa)",
                f"{found['bulk_modulus']:.1f}",
                f"{dft_fit['bulk_modulus']:.1f}",
                percent(found["bulk_modulus"], dft_fit["bulk_modulus"]),
            ),
            (
                "relative energy, RMSE over 15 volumes (meV/atom)",
                f"{1e3 * float(np.sqrt(np.mean(error**2))):.2f}",
                "",
                "",
            ),
            (
                "pressure, RMSE over 15 volumes (GPa)",
                f"{float(np.sqrt(np.mean((model['pressure'] - dft['pressure']) ** 2))):.2f}",
                "",
                "",
            ),
        ],
    )
    plot(args.output / "equation_of_state.png", frames, calculator, dft)
    save(
        args.output,
        "equation_of_state",
        {
            **found,
            "dft_a0": dft_fit["a0"],
            "dft_bulk_modulus": dft_fit["bulk_modulus"],
            "volumes": dft["volume"].tolist(),
            "energies": model["energy"].tolist(),
            "dft_energies": dft["energy"].tolist(),
            "pressures": model["pressure"].tolist(),
            "dft_pressures": dft["pressure"].tolist(),
        },
    )


def labels(frames: list[Any]) -> dict[str, np.ndarray]:
    """Volume Å³/atom, energy eV/atom and pressure GPa of each frame, as its calculator has them."""
    return {
        "volume": np.array([a.get_volume() / len(a) for a in frames]),
        "energy": np.array([a.get_potential_energy() / len(a) for a in frames]),
        "pressure": np.array([-a.get_stress()[:3].mean() / units.GPa for a in frames]),
    }


def predictions(frames: list[Any], calculator: EquipotCalculator) -> dict[str, np.ndarray]:
    copies = [atoms.copy() for atoms in frames]
    for atoms in copies:
        atoms.calc = calculator
    return labels(copies)


def fit(values: dict[str, np.ndarray]) -> dict[str, float]:
    """Lattice parameter (Å) and bulk modulus (GPa) from the volumes near the minimum."""
    smallest = values["volume"][values["energy"].argmin()]
    near = np.abs((values["volume"] / smallest) ** (1 / 3) - 1) < NEAR
    volume, _, modulus = EquationOfState(
        values["volume"][near], values["energy"][near], eos="birchmurnaghan"
    ).fit()
    return {"a0": float((8 * volume) ** (1 / 3)), "bulk_modulus": float(modulus / units.GPa)}


def plot(path: Path, frames: list[Any], calculator: EquipotCalculator, dft: dict[str, np.ndarray]) -> None:
    edges = np.array([atoms.cell.lengths()[0] for atoms in frames])
    curve = predictions([crystal(a0=a) for a in np.linspace(edges[0], edges[-1], 60)], calculator)
    figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(6, 6.5), layout="constrained")
    top.plot(curve["volume"], curve["energy"], label="equipot")
    top.plot(dft["volume"], dft["energy"], "ko", ms=4, label="DFT (PBE)")
    top.axvline(DFT["a0"] ** 3 / 8, color="0.7", lw=0.8, zorder=0)
    top.set_ylabel("energy (eV/atom)")
    top.legend()
    bottom.plot(curve["volume"], curve["pressure"])
    bottom.plot(dft["volume"], dft["pressure"], "ko", ms=4)
    bottom.axhline(0, color="0.7", lw=0.8, zorder=0)
    bottom.set_ylabel("pressure (GPa)")
    bottom.set_xlabel("volume (Å³/atom)")
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
