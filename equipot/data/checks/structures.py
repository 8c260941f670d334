"""Checks of the structures: periodicity and duplicates."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from equipot.data.checks.report import Finding, Level
from equipot.data.split import fingerprint
from equipot.neighbours.cell import independent
from equipot.structures.frame import Frame


def list_frames(frames: Sequence[Frame], indices: Sequence[int], limit: int = 4) -> str:
    """Return a text with the sources of the first `limit` frames and the number of further frames."""
    names = [frames[i].source or f"frame {i}" for i in indices[:limit]]
    more = f" and {len(indices) - limit} more" if len(indices) > limit else ""
    return ", ".join(names) + more


def check_periodicity(frames: Sequence[Frame]) -> tuple[list[Finding], list[int]]:
    """Return the finding periodicity, and the indices of the frames with a valid geometry."""
    bad = []
    usable = []
    for i, frame in enumerate(frames):
        finite = np.isfinite(frame.positions).all() and np.isfinite(frame.cell[frame.pbc]).all()
        if finite and not independent(frame.cell[frame.pbc]):
            bad.append(i)
        elif finite:
            usable.append(i)
    if bad:
        message = (
            f"{len(bad)} frames are periodic, but their cell spans no volume: {list_frames(frames, bad)}"
        )
        return [Finding("periodicity", "error", message, tuple(bad))], usable
    findings = []
    kinds = Counter("".join("FT"[int(p)] for p in f.pbc) for f in frames)
    counts = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common())
    level: Level = "ok" if len(kinds) == 1 else "note"
    findings.append(Finding("periodicity", level, f"frames by periodicity (T: periodic): {counts}"))
    no_pbc = [i for i, f in enumerate(frames) if len(f) > 1 and not f.pbc.any() and independent(f.cell)]
    if no_pbc:
        message = f"{len(no_pbc)} frames have a cell but no periodic direction: {list_frames(frames, no_pbc)}"
        findings.append(Finding("periodicity", "note", message, tuple(no_pbc)))
    return findings, usable


def check_duplicates(frames: Sequence[Frame]) -> list[Finding]:
    """Return the findings duplicates and conflicting-labels.

    Structures are identical if elements, cell and positions agree, in the same order. Labels conflict if energies
    differ by more than 1 meV/atom or forces by more than 0.01 eV/Å.
    """
    first: dict[bytes, int] = {}
    duplicates: list[int] = []
    conflicting: list[int] = []
    for i, frame in enumerate(frames):
        k = first.setdefault(fingerprint(frame), i)
        if k != i:
            (conflicting if _labels_differ(frames[k], frame) else duplicates).append(i)
    findings = []
    if duplicates:
        message = f"{len(duplicates)} frames repeat an earlier frame: {list_frames(frames, duplicates)}"
        findings.append(Finding("duplicates", "warning", message, tuple(duplicates)))
    if conflicting:
        message = (
            f"{len(conflicting)} frames repeat an earlier structure with other labels: "
            f"{list_frames(frames, conflicting)}"
        )
        findings.append(Finding("conflicting-labels", "error", message, tuple(conflicting)))
    return findings or [Finding("duplicates", "ok", "no structure occurs twice")]


def _labels_differ(a: Frame, b: Frame) -> bool:
    if a.energy is not None and b.energy is not None and abs(a.energy - b.energy) > 1e-3 * max(len(a), 1):
        return True
    if a.forces is None or b.forces is None or len(a) == 0:
        return False
    return bool(np.abs(a.forces - b.forces).max() > 1e-2)
