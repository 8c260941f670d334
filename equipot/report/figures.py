"""The pictures of the page, as PNG in memory. pyplot is not used: it changes global state and may need a display."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from equipot.properties.dimers import Dimer
from equipot.properties.motion import Motion
from equipot.properties.rdf import RDF

COLUMNS = 4  # largest number of dimer panels in a row


def new(rows: int, columns: int, width: float, height: float, **options: Any) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, dpi=110, format="png")
    return file.getvalue()


def dimer_curves(dimers: Sequence[Dimer], labels: dict[tuple[str, str], list[tuple[float, float]]]) -> bytes:
    """Plot energy over distance with one panel for each pair of elements, and points for DFT labels."""
    columns = min(COLUMNS, len(dimers))
    rows = -(-len(dimers) // columns)
    size = (3.1 * columns, 2.5 * rows) if columns > 2 else (4.4 * columns, 3.2 * rows)
    figure, axes = new(rows, columns, *size)
    for axis in axes.ravel()[len(dimers) :]:
        axis.set_axis_off()
    for axis, dimer in zip(axes.ravel(), dimers):
        axis.plot(dimer.distances, dimer.energies, lw=1.3)
        points = labels.get(dimer.elements, [])
        axis.plot([r for r, _ in points], [e for _, e in points], "k.", ms=4)
        axis.axvline(dimer.cutoff, color="0.7", lw=0.8, ls=":")
        axis.axhline(0, color="0.7", lw=0.8, zorder=0)
        # The range depends on the minimum, because the repulsive energies are too large for it.
        low = min(dimer.energies.min(), -0.1)
        axis.set_ylim(1.15 * low, max(-1.5 * low, 0.5))
        axis.set_title("–".join(dimer.elements), fontsize=9)
        axis.tick_params(labelsize=8)
    figure.supxlabel("distance (Å)", fontsize=9)
    figure.supylabel("energy (eV)", fontsize=9)
    return png(figure)


def near_cutoff(dimers: Sequence[Dimer]) -> bytes:
    """Plot the forces beyond three quarters of the cutoff."""
    figure, ((axis,),) = new(1, 1, 7, 3.2)
    for dimer in dimers:
        far = dimer.distances > 0.75 * dimer.cutoff
        axis.plot(dimer.distances[far], dimer.forces[far], lw=1.1, label="–".join(dimer.elements))
    axis.axhline(0, color="0.7", lw=0.8, zorder=0)
    axis.set_xlabel("distance (Å)")
    axis.set_ylabel("force (eV/Å)")
    if len(dimers) <= 15:
        axis.legend(fontsize=7, ncols=3)
    return png(figure)


def equation_of_state(
    volumes: np.ndarray, energies: np.ndarray, dft: np.ndarray | None, model_at_dft: np.ndarray | None
) -> bytes:
    """Plot energies per atom, relative to the lowest one, over volumes per atom.

    Args:
        volumes, energies: (n,) the curve of the model.
        dft: (k, 2) volumes and energies from labels, or None.
        model_at_dft: (k, 2) volumes and energies of the model for the labelled frames, or None.
    """
    figure, ((axis,),) = new(1, 1, 6, 3.8)
    low = energies.min()
    if dft is not None and model_at_dft is not None:
        low = min(low, model_at_dft[:, 1].min())
        axis.plot(dft[:, 0], dft[:, 1] - dft[:, 1].min(), "ko", ms=4, label="DFT labels")
        axis.plot(
            model_at_dft[:, 0],
            model_at_dft[:, 1] - low,
            "x",
            color="tab:red",
            ms=5,
            label="model, same cells",
        )
    axis.plot(volumes, energies - low, "-", label="model")
    axis.set_xlabel("volume (Å³/atom)")
    axis.set_ylabel("energy (eV/atom)")
    axis.legend(fontsize=8)
    return png(figure)


def motion(run: Motion) -> bytes:
    """Plot temperature and total energy over time."""
    figure, axes = new(2, 1, 7, 4.4, sharex=True)
    top, bottom = axes[:, 0]
    top.plot(run.times, run.temperatures, lw=0.8)
    top.set_ylabel("temperature (K)")
    bottom.plot(run.times, 1e6 * (run.energies - run.energies[0]), lw=0.8, color="tab:red")
    bottom.set_ylabel("total energy (µeV/atom)")
    bottom.set_xlabel("time (ps)")
    return png(figure)


def distribution(rdf: RDF) -> bytes:
    """Plot g(r) of all pairs, and of each pair of elements if there are several."""
    figure, ((axis,),) = new(1, 1, 7, 3.4)
    axis.plot(rdf.r, rdf.total, color="k", lw=1.4, label="all")
    if len(rdf.pairs) > 1:
        for name, g in rdf.pairs.items():
            axis.plot(rdf.r, g, lw=0.9, label=name)
        axis.legend(fontsize=8)
    axis.axhline(1, color="0.7", lw=0.8, zorder=0)
    axis.set_xlabel("distance (Å)")
    axis.set_ylabel("g(r)")
    return png(figure)
