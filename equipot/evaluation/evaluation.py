"""Evaluation of a model: its predictions for frames, and their errors if the frames are labelled."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from ase.stress import voigt_6_to_full_3x3_stress
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from equipot.calculators.many import BATCH_EDGES, predict_many
from equipot.data.graph import Graph, collate, expect_finite_labels, graph_from_frame
from equipot.errors import NumericsError
from equipot.evaluation.error_tables import error_tables
from equipot.evaluation.errors import ErrorReport, FramePrediction, error_report
from equipot.evaluation.parity import plot_parity
from equipot.evaluation.predicted_errors import MOST_FRAMES, PredictedErrorReport, predicted_error_report
from equipot.evaluation.predictions import write_predictions
from equipot.evaluation.shifts import group_shifts
from equipot.model_file import LoadedModel
from equipot.neighbours import PairCutoffs
from equipot.neighbours.cell import NO_VOLUME
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from equipot.quantities import GAMMA, LABELS
from equipot.species import SpeciesMap
from equipot.structures.frame import Frame


@dataclass(frozen=True)
class Evaluation:
    """Frames with a model's predictions, and their errors if the frames are labelled."""

    frames: list[Frame]
    predictions: list[FramePrediction]  # in the order of the frames
    errors: ErrorReport
    grades: list[float] | None = None  # the highest extrapolation grade of each frame
    predicted_errors: PredictedErrorReport | None = None
    seconds: float = 0.0  # that the predictions took

    @property
    def labelled(self) -> bool:
        """Whether a frame has a label, so that there are errors."""
        return any(frame.labels for frame in self.frames)

    @property
    def energy_keys(self) -> dict[str, int]:
        """The number of frames for each key from which energies were read."""
        return dict(
            sorted(Counter(f.energy_key or "energy" for f in self.frames if f.energy is not None).items())
        )

    @property
    def stresses_without_volume(self) -> int:
        """The number of frames whose stress is not compared because they have no volume."""
        return sum(f.stress is not None and "stress" not in p for f, p in zip(self.frames, self.predictions))

    def remarks(self) -> list[str]:
        """Return sentences about the labels that a reader of the errors should know."""
        keys = ", ".join(f"{key} ({_count(n)})" for key, n in self.energy_keys.items())
        none = "No frame has a reference energy." if self.labelled else "No frame has labels to compare with."
        sentences = [f"Reference energies were read from {keys}." if keys else none]
        if self.stresses_without_volume:
            sentences.append(
                f"The stress of {_count(self.stresses_without_volume)} was not compared, because the cell has no "
                f"volume; {NO_VOLUME}."
            )
        if (unlike := self.unlike()) is not None:
            sentences.append(unlike)
        sentences += [shift.sentence() for shift in group_shifts(self.frames, self.predictions)]
        return sentences

    def unlike(self) -> str | None:
        """Return a sentence on the frames with an atom that is unlike all training atoms; None without grades."""
        if self.grades is None:
            return None
        above = [grade > 1 for grade in self.grades]
        sides = []
        for side, word in ((True, "there"), (False, "elsewhere")):
            chosen = [k for k, a in enumerate(above) if a == side]
            forces = error_report([self.frames[k] for k in chosen], [self.predictions[k] for k in chosen])[
                "forces"
            ]
            if forces is not None:
                sides.append(f"{1000 * forces.rmse:.3g} meV/Å {word}")
        errors = f" The RMSE of the forces is {' and '.join(sides)}." if any(above) and sides else ""
        return (
            f"{sum(above)} of {_count(len(above))} have an atom with an extrapolation grade above 1.{errors}"
        )

    def to_dict(self, model: str = "", files: Sequence[str] = ()) -> dict[str, Any]:
        """Return plain JSON values with energies in eV and lengths in Å."""
        return {
            "model": model,
            "data": list(files),
            "n_frames": len(self.frames),
            "energy_keys": self.energy_keys,
            "stresses_without_volume": self.stresses_without_volume,
            **({} if self.grades is None else {"highest_grades": self.grades}),
            **(
                {} if self.predicted_errors is None else {"predicted_errors": self.predicted_errors.to_dict()}
            ),
            **self.errors.to_dict(),
        }

    def print(self, console: Console) -> None:
        """Print the tables of errors, the remarks and the throughput. Without labels, there are no errors."""
        if self.labelled:
            for table in error_tables(self.errors, self.frames):
                console.print(table)
        if self.predicted_errors is not None:
            console.print(self.predicted_errors.table())
        for remark in (*self.remarks(), self.throughput()):
            console.print(remark, markup=False, highlight=False)

    def throughput(self) -> str:
        """Return a sentence on the speed of the predictions, without reading and writing of files."""
        n, n_atoms = len(self.frames), sum(map(len, self.frames))
        rate = f", {n / self.seconds:.3g} structures per second" if n and self.seconds else ""
        return f"Predicted {_count(n)} with {n_atoms} atoms in {self.seconds:.3g} s{rate}."


def evaluate(
    model: LoadedModel | nn.Module,
    frames: Sequence[Frame],
    *,
    cutoffs: PairCutoffs | None = None,
    device: str | torch.device | None = None,
    batch_edges: int = BATCH_EDGES,
    console: Console | None = None,
) -> Evaluation:
    """Predict all frames and compare the predictions with the labels, if there are any.

    Args:
        model: a loaded model file, or a module from `Inputs` to `Outputs`.
        frames: the frames, with or without labels.
        cutoffs: elements and cutoffs of a module; by default those of its `spec`.
        device: device of a module; by default that of its first parameter or buffer.
        batch_edges: largest number of edges in a batch. It limits the memory. A frame with more edges forms a batch of
            its own.
        console: console for a progress bar.

    Raises:
        UnknownSpeciesError: the model does not know an element. This is checked before the first prediction.
        DataError: labels or cells cannot be used.
        NumericsError: a prediction is not finite.
    """
    if isinstance(model, LoadedModel):
        cutoffs = model.metadata.cutoffs
    elif cutoffs is None:
        cutoffs = cast(Potential, model).spec.cutoffs
    species = SpeciesMap(cutoffs.type_names)
    for k, frame in enumerate(frames):
        species.index(frame.numbers, frame.source or f"frame {k}")
    if isinstance(model, LoadedModel):
        results = _by_file(model, frames, batch_edges)
    else:
        results = _by_module(model, frames, cutoffs, device or _device_of(model), batch_edges)
    predictions: list[FramePrediction] = []
    grades: list[float] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=console is None) as progress:
        task, start = progress.add_task("evaluating", total=len(frames)), time.perf_counter()
        for p, grade in results:
            predictions.append(p)
            if grade is not None:
                grades.append(grade)
            progress.update(task, completed=len(predictions))
        seconds = time.perf_counter() - start
        report = None
        if isinstance(model, LoadedModel):
            second = progress.add_task("predicting errors", total=min(len(frames), MOST_FRAMES))
            report = predicted_error_report(
                model, frames, predictions, lambda done: progress.update(second, completed=done)
            )
    known = grades if len(grades) == len(predictions) and grades else None
    return Evaluation(list(frames), predictions, error_report(frames, predictions), known, report, seconds)


def evaluate_and_write(
    model: LoadedModel,
    frames: Sequence[Frame],
    folder: str | Path,
    *,
    files: Sequence[str] = (),
    batch_edges: int = BATCH_EDGES,
    console: Console | None = None,
) -> Evaluation:
    """Evaluate a model and write evaluation.json, predictions.extxyz and, with labels, parity.png into a folder.

    A model that predicts its errors also gets predicted_errors.png.

    Errors are those of `evaluate`.

    Args:
        model: the loaded model file.
        frames: the frames, with or without labels.
        folder: the output folder.
        files: names of the data files, for evaluation.json.
        batch_edges: largest number of edges in a batch.
        console: console for the tables.
    """
    evaluation = evaluate(model, frames, batch_edges=batch_edges, console=console)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    values = evaluation.to_dict(str(model.path), files)
    (folder / "evaluation.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    write_predictions(folder / "predictions.extxyz", evaluation.frames, evaluation.predictions)
    if evaluation.labelled:
        plot_parity(folder / "parity.png", evaluation.frames, evaluation.predictions, evaluation.errors)
    if evaluation.predicted_errors is not None:
        evaluation.predicted_errors.plot(folder / "predicted_errors.png")
    if console is not None:
        evaluation.print(console)
    return evaluation


def _by_file(
    model: LoadedModel, frames: Sequence[Frame], batch_edges: int
) -> Iterator[tuple[FramePrediction, float | None]]:
    """Yield the prediction of a model file for each frame, with its highest extrapolation grade."""
    for frame in frames:
        expect_finite_labels(frame)
    for p in predict_many(model, frames, batch_edges=batch_edges):
        prediction = {"energy": np.asarray(p.energy), "forces": p.forces}
        if p.stress is not None:
            prediction["stress"] = voigt_6_to_full_3x3_stress(p.stress)
        if GAMMA in p.outputs:
            prediction[GAMMA] = p.outputs[GAMMA]
        yield prediction, float(p.outputs[GAMMA].max(initial=0.0)) if GAMMA in p.outputs else None


def _by_module(
    module: nn.Module,
    frames: Sequence[Frame],
    cutoffs: PairCutoffs,
    device: str | torch.device,
    batch_edges: int,
) -> Iterator[tuple[FramePrediction, float | None]]:
    """Yield the prediction of a module for each frame, with its highest extrapolation grade."""
    species = SpeciesMap(cutoffs.type_names)
    graphs = (graph_from_frame(frame, species, cutoffs) for frame in frames)
    number = 0
    for batch in _batches(graphs, batch_edges):
        for p, grade in _predict_batch(module, batch, device):
            _check_finite(p, frames[number], number)
            yield p, grade
            number += 1


def _batches(graphs: Iterable[Graph], batch_edges: int) -> Iterator[list[Graph]]:
    batch: list[Graph] = []
    edges = 0
    for graph in graphs:
        if batch and edges + graph.n_edges > batch_edges:
            yield batch
            batch, edges = [], 0
        batch.append(graph)
        edges += graph.n_edges
    if batch:
        yield batch


def _predict_batch(
    module: nn.Module, graphs: list[Graph], device: str | torch.device
) -> Iterator[tuple[FramePrediction, float | None]]:
    """Yield the prediction of each graph with its highest extrapolation grade, if the model has grades."""
    batch = collate(graphs)
    on_device = batch.to(device)
    prediction = predict(module, on_device.inputs)
    volumes = batch.volume.numpy()
    values = {q.name: prediction.label(q.name, on_device.volume).cpu().numpy() for q in LABELS}
    first = np.cumsum(batch.n_atoms.numpy())[:-1]
    per_frame = {
        q.name: np.split(values[q.name], first) if q.per == "atom" else values[q.name] for q in LABELS
    }
    grades = None
    if GAMMA in prediction.outputs:
        grades = np.split(prediction.outputs[GAMMA].cpu().numpy(), first)
    for k, volume in enumerate(volumes):
        p = {
            q.name: np.asarray(per_frame[q.name][k])
            for q in LABELS
            if np.isfinite(volume) or not q.needs_volume
        }
        yield p, None if grades is None else float(grades[k].max(initial=0.0))


def _check_finite(p: FramePrediction, frame: Frame, number: int) -> None:
    for name, value in p.items():
        if not np.isfinite(value).all():
            raise NumericsError(
                f"{frame.source or f'frame {number}'}: the prediction of {name} is not finite; "
                "look for atoms at the same position with `equipot check`"
            )


def _device_of(module: nn.Module) -> torch.device:
    tensors = [*module.parameters(), *module.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def _count(n: int) -> str:
    return f"{n} frame{'' if n == 1 else 's'}"
