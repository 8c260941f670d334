"""Parity plots: predictions over reference values."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from equipot.evaluation.error_tables import in_meV
from equipot.evaluation.errors import ErrorReport, FramePrediction, pair
from equipot.quantities import LABELS, Quantity
from equipot.structures.frame import Frame, config_types

MOST_COLOURS = 10
MOST_POINTS = (
    100_000  # largest number of points in a panel; more are thinned evenly, with a note in the panel
)


def plot_parity(
    path: str | Path | IO[bytes],
    frames: Sequence[Frame],
    predictions: Sequence[FramePrediction],
    errors: ErrorReport,
) -> None:
    """Write a PNG with one panel for each labelled quantity.

    If there are two to ten config_types, each has its own colour.
    """
    # pyplot is not used because it changes global state and may need a display.
    figure = Figure(figsize=(4.2 * len(LABELS), 4.3), layout="constrained")
    FigureCanvasAgg(figure)
    groups = config_types(frames)
    coloured = groups if 1 < len(groups) <= MOST_COLOURS else [None]
    axes = figure.subplots(1, len(LABELS))
    for panel, quantity in zip(axes, LABELS):
        _panel(panel, quantity, frames, predictions, coloured)
        of_quantity = errors[quantity.name]
        panel.set_xlabel(f"reference ({quantity.error_unit})")
        panel.set_ylabel(f"predicted ({quantity.error_unit})")
        panel.set_title(f"{quantity.title}, components" if quantity.shape else quantity.title, fontsize=11)
        size = f"MAE / RMSE\n{in_meV(of_quantity)} m{quantity.error_unit}"
        text = size if of_quantity else "no labels"
        panel.text(0.04, 0.96, text, transform=panel.transAxes, va="top", fontsize=9)
    if len(coloured) > 1:
        handles = [
            axes[0].plot([], [], "o", ms=5, color=f"C{k}", label=group)[0] for k, group in enumerate(groups)
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.savefig(path, dpi=150, format="png")


def _panel(
    panel: Any,
    quantity: Quantity,
    frames: Sequence[Frame],
    predictions: Sequence[FramePrediction],
    groups: Sequence[str | None],
) -> None:
    series = []
    for group in groups:
        pairs = [pair(quantity, f, p) for f, p in zip(frames, predictions) if group in (None, f.config_type)]
        reference, predicted = (
            np.concatenate([np.zeros(0), *(side[k].ravel() for side in pairs)]) for k in (0, 1)
        )
        series.append((reference, predicted))
    values = np.concatenate([side for both in series for side in both])
    if len(values) == 0:
        panel.set_xticks([])
        panel.set_yticks([])
        return
    thinning = -(-len(values) // 2 // MOST_POINTS)
    if thinning > 1:
        panel.text(0.96, 0.04, f"every {thinning}th point", transform=panel.transAxes, ha="right", fontsize=8)
    for k, (reference, predicted) in enumerate(series):
        panel.plot(
            reference[::thinning],
            predicted[::thinning],
            "o",
            ms=3,
            mew=0,
            alpha=0.5,
            color=f"C{k}",
            rasterized=True,
        )
    low, high = values.min(), values.max()
    margin = 0.05 * (high - low) or 0.05
    ends = (low - margin, high + margin)
    panel.plot(ends, ends, "-", color="0.4", lw=0.8, zorder=0)
    panel.set(xlim=ends, ylim=ends, aspect="equal")
    panel.tick_params(labelsize=9)
    panel.locator_params(nbins=5)
