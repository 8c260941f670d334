"""The scale of predicted errors, from frames that the training has not seen.

The spread of the members is right up to a factor: σ² = α² J·(C + ς²)⁻¹·J for the force J·w of an atom along an axis
(see `uncertainty.curvature`). α² is the mean of r²/σ² over the errors r of held-out frames, which maximizes their
likelihood under normal distributions of variance σ². The ridge ς² is the one of the highest likelihood.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipot.data.graph import Graph
from equipot.errors import DataError
from equipot.uncertainty.curvature import LastLayer, with_edges
from equipot.uncertainty.grade import shuffled

RIDGES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)  # of the mean eigenvalue of C
FEWEST = 3  # frames that are used even when the time is over
MOST = 200
NEGLIGIBLE = 1e-12  # of the largest variance: symmetry makes the force zero

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """The factors of predicted errors."""

    ridge: float  # ς² as a part of the mean eigenvalue of the curvature
    energy: float  # α of energies
    forces: float  # α of forces
    frames: int

    def with_ridge(self, curvature: Reals) -> Reals:
        """Return C + ς²."""
        d = len(curvature)
        return curvature + self.ridge * np.trace(curvature) / d * np.eye(d)

    def covariance_root(self, curvature: Reals) -> Reals:
        """Return W (d, d) with W Wᵀ = (C + ς²)⁻¹."""
        eigenvalues, vectors = np.linalg.eigh(self.with_ridge(curvature))
        return vectors / np.sqrt(eigenvalues)


def calibrate(
    layer: LastLayer, curvature: Reals, graphs: Sequence[Graph], seconds: float | None = None
) -> Calibration:
    """Return the factors that fit the errors of held-out graphs.

    Args:
        layer: in the dtype of the model.
        curvature: (d, d), of the training set.
        graphs: held-out graphs with forces.
        seconds: time after which no further graph is used; None: no limit.

    Raises:
        DataError: no graph has forces, or the errors are no errors.
    """
    eigenvalues, vectors = np.linalg.eigh(curvature)
    eigenvalues = np.clip(eigenvalues, 0, None)
    projections, errors, of_energies, energy_errors = [], [], [], []
    begin = time.perf_counter()
    for graph in with_edges(shuffled(graphs)):
        if "forces" not in graph.labels:
            continue
        result = layer.jacobian(graph)
        projections.append(np.square(result.jacobian.reshape(-1, layer.width) @ vectors))
        errors.append((graph.labels["forces"].numpy() - result.forces).ravel())
        if "energy" in graph.labels:
            of_energies.append(np.square(result.features @ vectors))
            energy_errors.append(float(graph.labels["energy"]) - result.energy)
        over = seconds is not None and time.perf_counter() - begin > seconds
        if len(errors) >= (FEWEST if over else MOST):
            break
    if not errors:
        raise DataError("no held-out frame has forces, so the size of force errors is unknown")
    jacobians, r = np.concatenate(projections), np.concatenate(errors)
    jacobians, r = _not_zero_by_symmetry(jacobians, r)
    trials = []
    for ridge in RIDGES:
        inverse = 1 / (eigenvalues + ridge * eigenvalues.mean())
        variance = jacobians @ inverse
        scale = float(np.mean(r**2 / variance)) if len(r) else 0.0
        if not 0 < scale < np.inf:
            raise DataError("the force errors of the held-out frames are zero, so their size is unknown")
        surprise = float(np.mean(np.log(scale * variance)))
        of_energy = scale
        if energy_errors:
            of_energy = float(np.mean(np.square(energy_errors) / (np.array(of_energies) @ inverse)))
        trials.append(
            (surprise, Calibration(ridge, float(np.sqrt(of_energy)), float(np.sqrt(scale)), len(errors)))
        )
    return min(trials, key=lambda trial: trial[0])[1]


def _not_zero_by_symmetry(jacobians: Reals, errors: Reals) -> tuple[Reals, Reals]:
    size = jacobians.sum(1)
    moves = size > NEGLIGIBLE * size.max(initial=0.0)
    return jacobians[moves], errors[moves]
