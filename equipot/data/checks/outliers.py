"""Checks for outliers of energies and forces, and for forces that do not sum to zero."""

from collections.abc import Sequence

import numpy as np

from equipot.data.checks.report import Finding
from equipot.data.checks.structures import list_frames
from equipot.data.split import is_isolated_atom
from equipot.structures.frame import Frame


def check_energy_outliers(frames: Sequence[Frame], per_atom: np.ndarray) -> list[Finding]:
    """Return the finding energy-outliers.

    An outlier differs from the median by more than 1 eV/atom and by more than 15 times the median deviation.

    Args:
        frames: the frames.
        per_atom: (n_frames,) eV/atom, energies minus reference energies; NaN for frames without an energy.
    """
    known = np.isfinite(per_atom) & ~np.array([is_isolated_atom(f) for f in frames], dtype=bool)
    if known.sum() < 5:
        return []
    distance = np.abs(per_atom - np.median(per_atom[known]))
    limit = max(1.0, 15 * float(np.median(distance[known])))
    outliers = np.flatnonzero(known & (distance > limit))
    if len(outliers) == 0:
        return [
            Finding(
                "energy-outliers",
                "ok",
                f"all energies are within {distance[known].max():.3g} eV/atom of the median",
            )
        ]
    worst = outliers[np.argsort(-distance[outliers])].tolist()
    message = (
        f"{len(outliers)} frames have energies that differ by more than {limit:.3g} eV/atom from the median "
        f"(up to {distance[worst[0]]:.3g}): {list_frames(frames, worst)}"
    )
    return [Finding("energy-outliers", "warning", message, tuple(worst))]


def check_forces(frames: Sequence[Frame]) -> list[Finding]:
    """Return the findings net-force and force-outliers for frames with finite forces."""
    with_forces = [
        i for i, f in enumerate(frames) if f.forces is not None and len(f) and np.isfinite(f.forces).all()
    ]
    if not with_forces:
        return []
    arrays = {i: np.asarray(frames[i].forces, dtype=np.float64) for i in with_forces}
    components = np.concatenate([a.ravel() for a in arrays.values()])
    rms = float(np.sqrt(np.mean(np.square(components))))
    largest = np.array([np.linalg.norm(arrays[i], axis=1).max() for i in with_forces])
    net = np.array([np.linalg.norm(arrays[i].sum(axis=0)) / len(frames[i]) for i in with_forces])
    return [_net_force(frames, with_forces, net, rms), _large_forces(frames, with_forces, largest, rms)]


def _net_force(frames: Sequence[Frame], indices: list[int], net: np.ndarray, rms: float) -> Finding:
    # Limits are fractions of the rms force, plus the numerical noise of DFT codes.
    warning_limit, error_limit = 0.03 * rms + 2e-3, 0.3 * rms + 0.02
    order = np.argsort(-net)
    huge = [indices[k] for k in order if net[k] > error_limit]
    large = [indices[k] for k in order if net[k] > warning_limit]
    worst = f"up to {net.max():.3g} eV/Å per atom, rms force {rms:.3g}"
    if huge:
        message = (
            f"the forces of {len(huge)} frames do not sum to zero ({worst}), as they must without external fields. The "
            f"forces of fixed atoms may have been set to zero: {list_frames(frames, huge)}"
        )
        return Finding("net-force", "error", message, tuple(huge))
    if large:
        message = f"the forces of {len(large)} frames do not quite sum to zero ({worst}): {list_frames(frames, large)}"
        return Finding("net-force", "warning", message, tuple(large))
    return Finding("net-force", "ok", f"forces sum to zero within {net.max():.2g} eV/Å per atom")


def _large_forces(frames: Sequence[Frame], indices: list[int], largest: np.ndarray, rms: float) -> Finding:
    if rms == 0:
        return Finding(
            "force-outliers", "note", "all forces are exactly zero; this is right only for symmetric crystals"
        )
    limit = max(50.0, 30 * float(np.median(largest)))
    order = np.argsort(-largest)
    outliers = [indices[k] for k in order if largest[k] > limit]
    if outliers:
        message = (
            f"{len(outliers)} frames have forces above {limit:.3g} eV/Å "
            f"(up to {largest.max():.3g}, rms {rms:.3g}): {list_frames(frames, outliers)}"
        )
        return Finding("force-outliers", "warning", message, tuple(outliers))
    return Finding(
        "force-outliers", "ok", f"the largest force is {largest.max():.3g} eV/Å, the rms component {rms:.3g}"
    )
