"""Predictions and reference labels side by side in one extended XYZ file."""

from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress

from equipot.evaluation.errors import FramePrediction
from equipot.structures.frame import Frame


def predicted_atoms(frame: Frame, predicted: FramePrediction) -> Atoms:
    """Atoms whose calculator results are the prediction.

    The labels are info["reference_energy"] (eV), arrays["reference_forces"] (eV/Å) and
    info["reference_stress"] (eV/Å³, ASE's six components), as far as the frame has them.
    """
    atoms = Atoms(frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc)
    results: dict[str, float | np.ndarray] = {"energy": predicted.energy, "forces": predicted.forces}
    if predicted.stress is not None:
        results["stress"] = full_3x3_to_voigt_6_stress(predicted.stress)
    atoms.calc = SinglePointCalculator(atoms, **results)
    atoms.info["config_type"] = frame.config_type
    if frame.source:
        atoms.info["source"] = frame.source
    if frame.energy is not None:
        atoms.info["reference_energy"] = frame.energy
    if frame.forces is not None:
        atoms.arrays["reference_forces"] = frame.forces.copy()
    if frame.stress is not None:
        atoms.info["reference_stress"] = full_3x3_to_voigt_6_stress(frame.stress)
    return atoms


def write_predictions(
    path: str | Path, frames: Sequence[Frame], predictions: Sequence[FramePrediction]
) -> None:
    """Write one frame per input, in order."""
    with open(path, "w", encoding="utf-8") as file:
        for frame, predicted in zip(frames, predictions):
            ase.io.write(file, predicted_atoms(frame, predicted), format="extxyz")
