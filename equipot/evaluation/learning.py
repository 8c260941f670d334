"""The learning curves of a training, from its metrics.csv."""

import csv
from pathlib import Path
from typing import IO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from equipot.quantities import LABELS

PANELS = [(f"{q.error_name}_rmse", f"{q.title} RMSE (m{q.error_unit})", 1000.0) for q in LABELS]


def plot_learning(metrics: str | Path, image: str | Path | IO[bytes]) -> None:
    """Plot the loss, the learning rate and the errors over time. A label without values has no panel.

    Args:
        metrics: metrics.csv of `equipot train`.
        image: PNG to write.
    """
    with open(metrics, newline="") as file:
        rows = list(csv.DictReader(file))
    panels = [p for p in PANELS if any(r[f"{part}_{p[0]}"] for r in rows for part in ("train", "validation"))]
    figure = Figure(figsize=(4 * (1 + len(panels)), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 1 + len(panels), squeeze=False)[0]

    def curve(name: str, factor: float = 1.0) -> tuple[list[float], list[float]]:
        points = [(float(r["seconds"]) / 60, factor * float(r[name])) for r in rows if r[name]]
        return [p[0] for p in points], [p[1] for p in points]

    axes[0].semilogy(*curve("train_loss"), color="tab:blue", label="training loss")
    rate = axes[0].twinx()
    rate.semilogy(*curve("learning_rate"), color="tab:gray", lw=0.8, label="learning rate")
    rate.tick_params(colors="tab:gray")
    lines = axes[0].get_lines() + rate.get_lines()
    axes[0].legend(lines, [line.get_label() for line in lines], fontsize=8)
    axes[0].set_xlabel("minutes")
    for axis, (name, title, factor) in zip(axes[1:], panels):
        for part, colour in (("train", "tab:blue"), ("validation", "tab:red")):
            x, y = curve(f"{part}_{name}", factor)
            if x:
                axis.semilogy(x, y, color=colour, label=f"{part}, last {y[-1]:.3g}")
        axis.set_xlabel("minutes")
        axis.set_title(title, fontsize=10)
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3, which="both")
    figure.savefig(image, dpi=130, format="png")
