"""The fit of a committee (`network.members`) to a training set and to held-out frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equipot.config import LossConfig
from equipot.data.graph import Graph
from equipot.network.potential import Potential
from equipot.network.variants import with_members
from equipot.uncertainty.calibration import Calibration, calibrate
from equipot.uncertainty.curvature import Curvature, LastLayer, curvature

N_MEMBERS = 16
# Weights of the loss for models whose training is unknown.
WEIGHTS = (LossConfig().energy, LossConfig().forces)

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class MembersFit:
    """A potential with a committee, and what it was fitted to."""

    potential: Potential
    curvature: Curvature
    calibration: Calibration

    def summary(self) -> dict[str, Any]:
        """Return plain values for the metadata of a model file."""
        c = self.calibration
        return {
            "members": self.potential.spec.members,
            "frames": self.curvature.frames,
            "held_out_frames": c.frames,
            "energy_factor": c.energy,
            "force_factor": c.forces,
            "ridge": c.ridge,
        }


def calibration_of(
    potential: Potential,
    train: Sequence[Graph],
    held_out: Sequence[Graph],
    weights: tuple[float, float] = WEIGHTS,
    seconds: float | None = None,
) -> tuple[Curvature, Calibration]:
    """Return the curvature of a training set, and the calibration by held-out graphs.

    Args:
        potential: on the CPU.
        train: training set.
        held_out: graphs that the training has not seen.
        weights: of the loss, see `curvature`.
        seconds: time for both; None: no limit.

    Raises:
        DataError: there are too few frames, or held-out frames have no forces or no errors.
        ConfigError: the runtime cannot evaluate the network.
    """
    half = None if seconds is None else 0.5 * seconds
    known = curvature(LastLayer(potential, "float64"), train, weights, seconds=half)
    layer = LastLayer(potential, potential.spec.dtype)
    return known, calibrate(layer, known.matrix, held_out, half)


def with_committee(
    potential: Potential, known: Curvature, calibration: Calibration, n_members: int = N_MEMBERS
) -> MembersFit:
    """Return the potential with members that spread as a curvature and its calibration say."""
    root = calibration.covariance_root(known.matrix)
    deltas = calibration.forces * _directions(n_members, len(root)) @ root.T
    factor = calibration.energy * np.linalg.inv(np.linalg.cholesky(calibration.with_ridge(known.matrix)))
    changed = with_members(potential, torch.from_numpy(deltas), torch.from_numpy(np.tril(factor)))
    return MembersFit(changed, known, calibration)


def _directions(n: int, d: int, seed: int = 1) -> Reals:
    """Return n vectors (n, d) whose mean is 0 and whose covariance has the mean 1.

    They are the corners of a simplex in n - 1 random directions, which are orthogonal where d allows it. So the mean of
    the members is the model itself, and their spread is less by chance than that of independent draws.
    """
    rng = np.random.default_rng(seed)
    if d >= n - 1:
        spanned = np.linalg.qr(rng.standard_normal((d, n - 1)))[0] * np.sqrt(d / (n - 1))
    else:
        spanned = rng.standard_normal((d, n - 1)) / np.sqrt(n - 1)
    centred = np.eye(n) - 1 / n
    corners = np.linalg.svd(centred)[2][: n - 1] * np.sqrt(n)
    result: Reals = (spanned @ corners).T
    return result
