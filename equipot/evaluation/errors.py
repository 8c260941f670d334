"""Mean absolute, root mean square and mean errors of predictions: in total, by group and by element."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from equipot.quantities import LABELS, Quantity, by_name
from equipot.structures.frame import Frame, config_types

# Predicted labels of one frame by name. A frame without a volume has no predicted stress. The extrapolation grades of
# its atoms have the name `quantities.GAMMA`.
FramePrediction = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Errors:
    """The errors of `count` numbers, in their unit."""

    mae: float
    rmse: float
    count: int
    mean: float  # signed: negative if predictions are too low

    @classmethod
    def of(cls, differences: Iterable[np.ndarray]) -> "Errors | None":
        """Compute the errors from arrays of predicted minus reference values. Return None without values."""
        absolute = squared = total = 0.0
        count = 0
        for difference in differences:
            absolute += float(np.abs(difference).sum())
            squared += float(np.square(difference).sum())
            total += float(difference.sum())
            count += difference.size
        return cls(absolute / count, (squared / count) ** 0.5, count, total / count) if count else None


def differences(quantity: Quantity, frame: Frame, predicted: FramePrediction) -> np.ndarray:
    """Return predicted minus reference values of one frame; an empty array if the frame lacks the label.

    The result has the shape of the label. An extensive quantity is divided by the number of atoms. A stress has all
    nine components, so that its RMSE does not depend on the orientation of the axes.
    """
    reference, value = pair(quantity, frame, predicted)
    return value - reference


def pair(quantity: Quantity, frame: Frame, predicted: FramePrediction) -> tuple[np.ndarray, np.ndarray]:
    """Return reference and prediction of one frame, in the form of `differences`."""
    reference, value = frame.labels.get(quantity.name), predicted.get(quantity.name)
    if reference is None or value is None:
        return np.zeros(0), np.zeros(0)
    divisor = max(len(frame), 1) if quantity.extensive else 1
    return np.atleast_1d(reference / divisor), np.atleast_1d(value / divisor)


@dataclass(frozen=True)
class ErrorReport:
    """The errors for a set of frames, by name of the quantity. They are None without labels."""

    errors: dict[str, Errors | None]
    groups: dict[str, dict[str, Errors | None]]  # errors by config_type and quantity
    forces_by_species: dict[str, Errors]

    def __getitem__(self, name: str) -> Errors | None:
        """Return the errors of a quantity for all frames."""
        return self.errors[name]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with the names of errors in files (`energy_per_atom`)."""

        def plain(errors: dict[str, Errors | None]) -> dict[str, Any]:
            return {by_name(k).error_name: None if e is None else asdict(e) for k, e in errors.items()}

        return {
            **plain(self.errors),
            "groups": {group: plain(errors) for group, errors in self.groups.items()},
            "forces_by_species": {name: asdict(e) for name, e in self.forces_by_species.items()},
        }


def error_report(frames: Sequence[Frame], predictions: Sequence[FramePrediction]) -> ErrorReport:
    """Compute the errors for all frames, by config_type, and for the forces by element."""

    def errors_of(group: str | None = None) -> dict[str, Errors | None]:
        chosen = [(f, p) for f, p in zip(frames, predictions) if group in (None, f.config_type)]
        return {q.name: Errors.of(differences(q, f, p) for f, p in chosen) for q in LABELS}

    elements = sorted({int(z) for frame in frames for z in np.unique(frame.numbers)})
    by_element = {
        chemical_symbols[z]: Errors.of(
            (p["forces"] - f.forces)[f.numbers == z]
            for f, p in zip(frames, predictions)
            if f.forces is not None
        )
        for z in elements
    }
    return ErrorReport(
        errors=errors_of(),
        groups={group: errors_of(group) for group in config_types(frames)},
        forces_by_species={name: errors for name, errors in by_element.items() if errors is not None},
    )
