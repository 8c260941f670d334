"""Checks of the stresses where energies do not verify them: by their size, and by their change with the volume."""

from collections.abc import Sequence

import numpy as np

from equipot.data.checks.causes import GPA
from equipot.data.checks.report import Finding
from equipot.structures.frame import Frame

_LARGE = 1.0  # eV/Å³, 160 GPa: more than in solids at ordinary pressures


def check_size(frames: Sequence[Frame]) -> list[Finding]:
    """Return an error stress-unit if the stresses are too large to be in eV/Å³."""
    typical = _typical(frames)
    if typical < _LARGE or not _beyond_forces(frames):
        return []
    message = (
        f"stresses are typically {typical:.3g} eV/Å³, {typical * GPA:.0f} GPa, more than in solids at ordinary "
        f"pressures: they look like GPa (multiply them by {1 / GPA:.5g}) or kbar (multiply them by {0.1 / GPA:.5g}), "
        "or a virial in eV (divide it by minus the volume)"
    )
    return [Finding("stress-unit", "error", message)]


def check_slope(frames: Sequence[Frame], reason: str) -> list[Finding]:
    """Return the finding stress-sign by the change of the stress with the volume.

    Args:
        frames: the frames with a stress and a volume.
        reason: why the energies do not verify the stresses.
    """
    size = f"typical size {_typical(frames) * GPA:.3g} GPa if read as eV/Å³"
    slope = _pressure_slope(frames)
    if slope is None:
        message = f"sign and unit cannot be verified: {reason}; {size}"
        return [Finding("stress-sign", "note", message, unverified="the sign and unit of the stresses")]
    correlation, n = slope
    if correlation < 0:
        message = (
            f"the sign of the stresses is wrong: multiply them by -1 (larger cells have more negative stress in {n} "
            f"frames of one composition, correlation {correlation:.2f}; stress is positive under tension and must "
            "increase with the volume)"
        )
        return [Finding("stress-sign", "error", message)]
    message = f"stress increases with the volume in {n} frames (correlation {correlation:.2f}), as expected"
    return [
        Finding("stress-sign", "ok", message),
        Finding(
            "stress-unit", "note", f"not verified: {reason}; {size}", unverified="the unit of the stresses"
        ),
    ]


def _typical(frames: Sequence[Frame]) -> float:
    return float(np.median([np.abs(f.stress).max() for f in frames if f.stress is not None]))


def _beyond_forces(frames: Sequence[Frame]) -> bool:
    """Return whether the stresses are much larger than the forces and distances allow.

    A virial is a sum of forces times distances. So the stress times the volume per atom has the size of a force times
    the distance of neighbours, also in a strongly compressed set.
    """
    ratios = []
    for frame in frames:
        if (
            frame.forces is None
            or frame.stress is None
            or not np.isfinite(frame.forces).all()
            or not len(frame)
        ):
            continue
        size = float(np.sqrt(np.mean(np.square(frame.forces))))
        volume = frame.volume / len(frame)
        if size > 1e-2:  # in a stressed crystal, forces may cancel by symmetry
            ratios.append(float(np.abs(frame.stress).max()) * volume / (size * volume ** (1 / 3)))
    return not ratios or float(np.median(ratios)) > 20.0


def _pressure_slope(frames: Sequence[Frame]) -> tuple[float, int] | None:
    """Return the correlation of the mean stress with the volume, and the number of frames; None if it is not clear.

    Only frames of the most frequent composition are used. Layers are left out, because their vacuum changes the volume
    and the stress without a strain.
    """
    groups: dict[bytes, list[Frame]] = {}
    for frame in (f for f in frames if f.pbc.all()):
        groups.setdefault(np.sort(frame.numbers).tobytes(), []).append(frame)
    members = max(groups.values(), key=len, default=[])
    volume = np.array([f.volume for f in members])
    trace = np.array([np.trace(f.stress) for f in members if f.stress is not None])
    if len(members) < 10 or np.std(np.log(volume)) < 0.01 or np.std(trace) == 0:
        return None
    correlation = float(np.corrcoef(np.log(volume), trace)[0, 1])
    return (correlation, len(members)) if abs(correlation) > 0.8 else None
