"""Errors on the test set in the metric and units in which others publish theirs."""

import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from equipot.evaluation.errors import differences
from equipot.evaluation.evaluation import evaluate
from equipot.model_file import load_model, read_metadata
from equipot.quantities import ENERGY, FORCES, STRESS, Quantity
from equipot.speed.machine import processor
from equipot.structures.labels import LabelKeys
from equipot.structures.reading import read_frames

from .published import PUBLISHED
from .sets import Set

Errors = tuple[float | None, float | None, float | None]


def errors(model: Path, test: str, metric: str, per: str) -> dict[str, Errors]:
    """Return errors of energy (meV per atom or structure), forces (meV/Å) and stress (meV/Å³) by group, "all" first."""
    frames = read_frames([test], LabelKeys())
    pairs = list(zip(frames, evaluate(load_model(model), frames).predictions))

    def over(quantity: Quantity, group: str) -> float | None:
        parts = []
        for frame, prediction in pairs:
            if group in ("all", frame.config_type):
                scale = len(frame) if quantity.extensive and per == "structure" else 1
                parts.append(np.ravel(differences(quantity, frame, prediction) * scale))
        return average(np.concatenate(parts), metric)

    groups = sorted({f.config_type for f in frames if f.config_type})
    return {
        group: (over(ENERGY, group), over(FORCES, group), over(STRESS, group))
        for group in ["all", *(groups if len(groups) > 1 else [])]
    }


def average(differences: np.ndarray, metric: str) -> float | None:
    """Return the mean absolute (mae) or root mean square (rmse) in thousandths; None if there are no differences."""
    if differences.size == 0:
        return None
    mean = np.abs(differences).mean() if metric == "mae" else np.sqrt(np.square(differences).mean())
    return 1000 * float(mean)


def collect(
    name: str, dataset: Set, model: Path, test: str, cost: dict[str, float], **more: Any
) -> dict[str, Any]:
    """Return everything that a table shows, as plain values."""
    published = PUBLISHED[name]
    training = read_metadata(model).training
    return {
        "set": name,
        "title": dataset.title,
        "metric": published.metric,
        "energy": published.energy,
        "errors": errors(model, test, published.metric, published.energy),
        **{k: round(v, 2) for k, v in cost.items()},
        **more,
        "steps": training.get("steps"),
        "seconds_to_best": training.get("seconds"),
        "frames": training.get("frames"),
        "equipot": version("equipot"),
        "machine": processor(),
        "device": training.get("device", "unknown"),
        "date": datetime.date.today().isoformat(),
        "remark": dataset.remark,
    }
