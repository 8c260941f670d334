"""The output files of phonons: for phonopy, for other programs, and a plot."""

from pathlib import Path
from typing import IO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from equipot.properties.phonons import Phonons

THERMAL_COLUMNS = "temperature_K,free_energy_kJ_per_mol,entropy_J_per_K_mol,heat_capacity_J_per_K_mol"
FILES = {
    "phonopy.yaml": "cells, displacements, forces and force constants, for phonopy.load",
    "band.yaml": "bands in phonopy's format",
    "bands.csv": "bands as columns: distance, wave vector, frequencies",
    "dos.csv": "density of states",
    "thermal.csv": "free energy, entropy, heat capacity of a mole of primitive cells",
    "phonons.png": "bands and density of states",
}


def write_phonons(folder: Path, result: Phonons) -> None:
    """Write all `FILES` into an existing folder. Raise OSError with the name of the folder, e.g. for a full disk."""
    try:
        _write_all(folder, result)
    except OSError as error:
        error.filename = error.filename or str(folder)
        raise


def _write_all(folder: Path, result: Phonons) -> None:
    result.phonon.save(str(folder / "phonopy.yaml"), settings={"force_constants": True})
    result.phonon.write_yaml_band_structure(filename=str(folder / "band.yaml"))
    _write_bands(folder / "bands.csv", result)
    np.savetxt(
        folder / "dos.csv", result.dos, "%.8g", ",", header="frequency_THz,states_per_THz", comments=""
    )
    np.savetxt(folder / "thermal.csv", result.thermal, "%.8g", ",", header=THERMAL_COLUMNS, comments="")
    plot_phonons(folder / "phonons.png", result)


def _write_bands(path: Path, result: Phonons) -> None:
    n_modes = result.bands.frequencies[0].shape[1]
    header = ["line", "distance_per_A", "qa", "qb", "qc", *(f"mode{k + 1}_THz" for k in range(n_modes))]
    lines = zip(result.bands.distances, result.phonon.band_structure.qpoints, result.bands.frequencies)
    rows = [np.column_stack([np.full(len(x), k), x, q, f]) for k, (x, q, f) in enumerate(lines)]
    np.savetxt(path, np.concatenate(rows), "%.8g", ",", header=",".join(header), comments="")


def plot_phonons(image: str | Path | IO[bytes], result: Phonons) -> None:
    """Plot bands (left) and density of states (right); imaginary frequencies are below zero."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [3, 1]})
    for x, frequencies in zip(result.bands.distances, result.bands.frequencies):
        left.plot(x, frequencies, color="tab:blue", lw=1)
    for at, _ in result.bands.ticks:
        left.axvline(at, color="0.8", lw=0.7, zorder=0)
    left.set_xticks([at for at, _ in result.bands.ticks], [name for _, name in result.bands.ticks])
    left.set_xlim(0, result.bands.ticks[-1][0])
    left.set_ylabel("frequency (THz)")
    right.fill_betweenx(result.dos[:, 0], result.dos[:, 1], color="tab:blue", alpha=0.4, lw=0)
    right.set_xlabel("states per THz")
    right.set_xlim(left=0)
    every = np.concatenate([f.ravel() for f in result.bands.frequencies])
    left.set_ylim(min(1.05 * every.min(), -0.01 * every.max()), 1.05 * every.max())
    for axis in (left, right):
        axis.axhline(0, color="0.4", lw=0.7)
    figure.savefig(image, dpi=130, format="png")
