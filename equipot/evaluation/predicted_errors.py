"""How well a model predicts its own errors: predicted against true errors of labelled frames."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from equipot.data.graph import Graph, graph_from_frame
from equipot.evaluation.errors import FramePrediction
from equipot.model_file import LoadedModel
from equipot.model_file.structure import Structure
from equipot.species import SpeciesMap
from equipot.structures.frame import Frame

MOST_FRAMES = 200  # with predicted errors; each takes as long as ten evaluations
N_BINS = 10
HEADINGS = ("error of", "true", "predicted", "within σ", "area", "ranks")
PARTS = np.linspace(0.01, 0.99, 99)  # of a normal distribution, around its middle

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Predicted standard deviations σ of errors r, in their unit.

    Attributes:
        count: number of errors.
        rmse: root mean square of r.
        predicted: root mean square of σ.
        within: the part of errors with |r| < σ, which is 0.683 for a normal distribution.
        area: miscalibration area: ∫|q(p) - p| dp, where q(p) is the part of errors in the interval around 0 that a
            normal distribution has the part p in.
        nll: mean negative log likelihood of r.
        crps: mean continuous ranked probability score, in the unit of r.
        spearman: rank correlation of σ with |r|; for forces, with the length of the error. None without ranks.
        bins: root mean squares of σ and of r, in ten bins of σ with equal numbers of errors.
    """

    count: int
    rmse: float
    predicted: float
    within: float
    area: float
    nll: float
    crps: float
    spearman: float | None
    bins: list[tuple[float, float]]

    @classmethod
    def of(cls, errors: Reals, sigmas: Reals) -> "Calibration | None":
        """Compare errors (n, c) with the σ (n,) of their lengths; all c components of an error have the same σ."""
        known = np.isfinite(sigmas) & (sigmas > 0)
        errors, sigmas = errors[known], sigmas[known]
        if len(errors) < 2:
            return None
        from scipy.stats import norm, spearmanr

        components = errors.shape[1]
        lengths = np.linalg.norm(errors, axis=1)
        s = np.repeat(sigmas / np.sqrt(components), components)
        z = errors.ravel() / s
        observed = np.array([np.mean(np.abs(z) < norm.ppf(0.5 + p / 2)) for p in PARTS])
        crps = s * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
        order = np.argsort(sigmas, kind="stable")
        bins = [(_rms(sigmas[b]), _rms(lengths[b])) for b in np.array_split(order, N_BINS) if len(b)]
        ranks = len(np.unique(sigmas)) > 1 and len(np.unique(lengths)) > 1
        return cls(
            count=errors.size,
            rmse=_rms(errors),
            predicted=_rms(s),
            within=float(np.mean(np.abs(z) < 1)),
            area=float(np.abs(observed - PARTS).mean()),
            nll=float(np.mean(0.5 * z**2 + np.log(s) + 0.5 * np.log(2 * np.pi))),
            crps=float(crps.mean()),
            spearman=float(spearmanr(sigmas, lengths)[0]) if ranks else None,
            bins=bins,
        )


def _rms(values: Reals) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@dataclass(frozen=True)
class PredictedErrorReport:
    """The calibration of force errors (eV/Å) and of energy errors per atom (eV/atom) for some frames."""

    frames: int
    forces: Calibration | None
    energy: Calibration | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        parts = {"forces": self.forces, "energy_per_atom": self.energy}
        return {"frames": self.frames, **{k: None if c is None else asdict(c) for k, c in parts.items()}}

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows of a table with the columns `HEADINGS`."""
        return [
            (
                f"{name} ({unit})",
                f"{1000 * c.rmse:.3g}",
                f"{1000 * c.predicted:.3g}",
                f"{100 * c.within:.0f} %",
                f"{c.area:.3f}",
                "–" if c.spearman is None else f"{c.spearman:.2f}",
            )
            for name, unit, c in (("forces", "meV/Å", self.forces), ("energy", "meV/atom", self.energy))
            if c is not None
        ]

    def table(self) -> Table:
        """Return the table for the terminal."""
        table = Table(title=f"Predicted errors ({self.frames} frames)", title_justify="left")
        for heading in HEADINGS:
            table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right")
        for row in self.rows():
            table.add_row(*row)
        return table

    def plot(self, path: Path | IO[bytes]) -> None:
        """Write a PNG: true over predicted errors, in bins of the predicted ones."""
        panels = [
            (f"{title} ({unit})", c)
            for title, unit, c in (("forces", "meV/Å", self.forces), ("energy", "meV/atom", self.energy))
            if c is not None
        ]
        figure = Figure(figsize=(4.2 * len(panels), 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, (title, c) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            predicted, true = 1000 * np.array(c.bins).T
            ends = np.array([min(predicted.min(), true.min()) / 1.2, max(predicted.max(), true.max()) * 1.2])
            axes.loglog(ends, ends, color="0.6", lw=1)
            axes.loglog(predicted, true, "o")
            axes.set_xlabel("predicted error, root mean square in bins")
            axes.set_ylabel("true error, root mean square")
            axes.set_title(title, fontsize=11)
        figure.savefig(path, dpi=150, format="png")


def predicted_error_report(
    model: LoadedModel,
    frames: Sequence[Frame],
    predictions: Sequence[FramePrediction],
    advance: Callable[[int], None] = lambda _: None,
) -> PredictedErrorReport | None:
    """Compare a model's predicted errors with the true ones of at most 200 frames, evenly chosen.

    Return None for a model without predicted errors, and for frames without labels.

    Args:
        model: the model.
        frames: labelled frames.
        predictions: those of the model, in the order of the frames.
        advance: called with the number of frames that are done.
    """
    if not model.predicts_errors:
        return None
    species, cutoffs = SpeciesMap(model.metadata.type_names), model.metadata.cutoffs
    labelled = [k for k, f in enumerate(frames) if f.forces is not None or f.energy is not None]
    chosen = [
        labelled[k] for k in np.linspace(0, len(labelled) - 1, min(len(labelled), MOST_FRAMES)).astype(int)
    ]
    of_forces: list[tuple[Reals, Reals]] = [(np.zeros((0, 3)), np.zeros(0))]
    of_energies: list[tuple[float, float]] = []
    for done, k in enumerate(chosen):
        frame, p = frames[k], predictions[k]
        expected = model.predicted_errors(_structure(graph_from_frame(frame, species, cutoffs)))
        if frame.forces is not None:
            of_forces.append((p["forces"] - frame.forces, expected.forces))
        if frame.energy is not None and len(frame):
            of_energies.append(
                ((float(p["energy"]) - frame.energy) / len(frame), expected.energy / len(frame))
            )
        advance(done + 1)
    errors, sigmas = (np.concatenate(side) for side in zip(*of_forces, strict=True))
    energies = np.array(of_energies).reshape(-1, 2)
    report = PredictedErrorReport(
        len(chosen), Calibration.of(errors, sigmas), Calibration.of(energies[:, :1], energies[:, 1])
    )
    return report if report.forces or report.energy else None


def _structure(graph: Graph) -> Structure:
    return Structure(
        graph.species.numpy(),
        graph.edge_index.numpy().astype(np.int64),
        graph.edge_vectors.numpy(),
        graph.positions.numpy(),
        graph.cell.numpy(),
        graph.pbc.numpy(),
    )
