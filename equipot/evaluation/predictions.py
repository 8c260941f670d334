"""Writing of predictions together with the reference labels, in one extended XYZ file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from equipot.evaluation.errors import FramePrediction
from equipot.quantities import GAMMA, by_name
from equipot.structures.frame import Frame, as_ase


def predicted_atoms(frame: Frame, predicted: FramePrediction) -> Atoms:
    """Return Atoms with the predictions as calculator results.

    The labels of the frame are info["reference_energy"] (eV), arrays["reference_forces"] (eV/Å) and
    info["reference_stress"] (eV/Å³, ASE's six components). arrays["gamma"] has the extrapolation grades.
    """
    atoms = Atoms(frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc)
    results: dict[str, Any] = {
        name: as_ase(name, value) for name, value in predicted.items() if name != GAMMA
    }
    atoms.calc = SinglePointCalculator(atoms, **results)
    if GAMMA in predicted:
        atoms.arrays[GAMMA] = predicted[GAMMA]
    atoms.info["config_type"] = frame.config_type
    if frame.source:
        atoms.info["source"] = frame.source
    for name, label in frame.labels.items():
        values: dict[str, Any] = atoms.arrays if by_name(name).per == "atom" else atoms.info
        values[f"reference_{name}"] = as_ase(name, label)
    return atoms


def write_predictions(
    path: str | Path, frames: Sequence[Frame], predictions: Sequence[FramePrediction]
) -> None:
    """Write the frames with their predictions to a file, in order."""
    with open(path, "w", encoding="utf-8") as file:
        for frame, predicted in zip(frames, predictions):
            ase.io.write(file, predicted_atoms(frame, predicted), format="extxyz")
