"""Mean absolute and root mean square errors of predictions, over everything and over parts."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from equipot.structures.frame import Frame, config_types

LABELS = ("energy_per_atom", "forces", "stress")


@dataclass(frozen=True)
class FramePrediction:
    """What a model says about one frame."""

    energy: float  # eV, of the whole structure
    forces: np.ndarray  # Shape: (n_atoms, 3), eV/Å
    stress: np.ndarray | None  # Shape: (3, 3), eV/Å³, positive = tension; None without a volume


@dataclass(frozen=True)
class Errors:
    """Errors over `count` numbers, in the unit of these numbers."""

    mae: float
    rmse: float
    count: int

    @classmethod
    def of(cls, differences: Iterable[np.ndarray]) -> "Errors | None":
        """From arrays of predicted minus reference; None where there are no numbers."""
        absolute = squared = 0.0
        count = 0
        for difference in differences:
            absolute += float(np.abs(difference).sum())
            squared += float(np.square(difference).sum())
            count += difference.size
        return cls(absolute / count, (squared / count) ** 0.5, count) if count else None


def differences(label: str, frame: Frame, predicted: FramePrediction) -> np.ndarray:
    """Predicted minus reference of one frame, empty where it has no such label.

    label: "energy_per_atom" gives (1,) eV, "forces" (n_atoms, 3) eV/Å, "stress" (3, 3) eV/Å³: all nine
    components, so that the RMSE does not depend on the orientation of the axes.
    """
    reference, value = pair(label, frame, predicted)
    return value - reference


def pair(label: str, frame: Frame, predicted: FramePrediction) -> tuple[np.ndarray, np.ndarray]:
    """Reference and prediction of one frame in the shapes of `differences`, empty without a label."""
    if label == "energy_per_atom" and frame.energy is not None:
        n = max(len(frame), 1)
        return np.array([frame.energy / n]), np.array([predicted.energy / n])
    if label == "forces" and frame.forces is not None:
        return frame.forces, predicted.forces
    if label == "stress" and frame.stress is not None and predicted.stress is not None:
        return frame.stress, predicted.stress
    return np.zeros(0), np.zeros(0)


@dataclass(frozen=True)
class ErrorReport:
    """All errors over a set of frames; None where there are no labels."""

    energy_per_atom: Errors | None  # eV; one number per frame
    forces: Errors | None  # eV/Å; three numbers per atom
    stress: Errors | None  # eV/Å³; nine numbers per frame
    groups: dict[str, dict[str, Errors | None]]  # the same three by config_type
    forces_by_species: dict[str, Errors]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def error_report(frames: Sequence[Frame], predictions: Sequence[FramePrediction]) -> ErrorReport:
    """Errors over all frames, by config_type, and of the forces by element."""

    def over(label: str, group: str | None = None) -> Errors | None:
        return Errors.of(
            differences(label, f, p)
            for f, p in zip(frames, predictions)
            if group is None or f.config_type == group
        )

    elements = sorted({int(z) for frame in frames for z in np.unique(frame.numbers)})
    of_element = {
        chemical_symbols[z]: Errors.of(
            (p.forces - f.forces)[f.numbers == z] for f, p in zip(frames, predictions) if f.forces is not None
        )
        for z in elements
    }
    return ErrorReport(
        energy_per_atom=over("energy_per_atom"),
        forces=over("forces"),
        stress=over("stress"),
        groups={group: {label: over(label, group) for label in LABELS} for group in config_types(frames)},
        forces_by_species={name: errors for name, errors in of_element.items() if errors is not None},
    )
