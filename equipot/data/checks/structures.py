"""Geometry: periodicity, neighbours, atoms on each other, structures that come twice."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from equipot.data.checks.report import Finding, Level
from equipot.data.split import fingerprint, is_isolated_atom
from equipot.neighbours import neighbour_list
from equipot.neighbours.cell import independent
from equipot.structures.frame import Frame

_ON_EACH_OTHER, _TOO_CLOSE = 0.1, 0.5  # Å


def list_frames(frames: Sequence[Frame], indices: Sequence[int], most: int = 4) -> str:
    """The sources of the first few frames."""
    names = [frames[i].source or f"frame {i}" for i in indices[:most]]
    more = f" and {len(indices) - most} more" if len(indices) > most else ""
    return ", ".join(names) + more


def check_periodicity(frames: Sequence[Frame]) -> tuple[list[Finding], list[int]]:
    """Finding periodicity; and the indices of frames whose geometry can be used."""
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
    described = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common())
    level: Level = "ok" if len(kinds) == 1 else "note"
    findings.append(Finding("periodicity", level, f"frames by periodicity (T: periodic): {described}"))
    forgotten = [i for i, f in enumerate(frames) if len(f) > 1 and not f.pbc.any() and independent(f.cell)]
    if forgotten:
        message = (
            f"{len(forgotten)} frames have a cell but are periodic nowhere: {list_frames(frames, forgotten)}"
        )
        findings.append(Finding("periodicity", "note", message, tuple(forgotten)))
    return findings, usable


def check_neighbours(frames: Sequence[Frame], usable: Sequence[int], cutoff: float) -> list[Finding]:
    """Findings neighbours, coincident-atoms, isolated-atoms."""
    counts: list[np.ndarray] = []
    on_each_other, close, lonely, free = [], [], [], []
    shortest = np.inf
    for i in usable:
        frame = frames[i]
        edges, _, vectors = neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff)
        count = np.bincount(edges[0], minlength=len(frame))
        if len(vectors):
            distance = float(np.sqrt(np.einsum("ea,ea->e", vectors, vectors).min()))
            shortest = min(shortest, distance)
            if distance < _ON_EACH_OTHER:
                on_each_other.append(i)
            elif distance < _TOO_CLOSE:
                close.append(i)
        if is_isolated_atom(frame):
            free.append(i)
            continue
        counts.append(count)
        if (count == 0).any():
            lonely.append(i)
    findings = _number_of_neighbours(counts, cutoff, len(free))
    if on_each_other:
        message = _closer(frames, on_each_other, _ON_EACH_OTHER)
        findings.append(Finding("coincident-atoms", "error", message, tuple(on_each_other)))
    if close:
        message = _closer(frames, close, _TOO_CLOSE)
        findings.append(Finding("coincident-atoms", "warning", message, tuple(close)))
    if not on_each_other and not close and np.isfinite(shortest):
        findings.append(Finding("coincident-atoms", "ok", f"the shortest distance is {shortest:.3f} Å"))
    if lonely:
        message = (
            f"{len(lonely)} frames hold atoms without any neighbour within {cutoff:g} Å, whose energy is "
            f"then E0: {list_frames(frames, lonely)}"
        )
        findings.append(Finding("isolated-atoms", "warning", message, tuple(lonely)))
    if free:
        message = f"{len(free)} frames are single free atoms; they serve as reference energies"
        findings.append(Finding("isolated-atoms", "note", message, tuple(free)))
    return findings


def _closer(frames: Sequence[Frame], found: list[int], distance: float) -> str:
    return f"{len(found)} frames have atoms closer than {distance} Å: {list_frames(frames, found)}"


def _number_of_neighbours(counts: list[np.ndarray], cutoff: float, n_free: int) -> list[Finding]:
    flat = np.concatenate([np.zeros(0, dtype=np.int64), *counts])
    if len(flat) == 0:
        if n_free:
            return []
        return [Finding("neighbours", "error", "no frame has atoms whose neighbours can be counted")]
    if flat.max() == 0:
        message = f"no atom of the set has a neighbour within {cutoff:g} Å; positions must be in Å"
        return [Finding("neighbours", "error", message)]
    message = f"{flat.mean():.1f} neighbours per atom within {cutoff:g} Å (from {flat.min()} to {flat.max()})"
    return [Finding("neighbours", "warning" if flat.mean() > 500 else "ok", message)]


def check_duplicates(frames: Sequence[Frame]) -> list[Finding]:
    """Findings duplicates and conflicting-labels.

    Identical means the same elements, cell and positions in the same order. Labels conflict when energies
    differ by more than 1 meV/atom or forces by more than 0.01 eV/Å.
    """
    first: dict[bytes, int] = {}
    twice: list[int] = []
    conflicting: list[int] = []
    for i, frame in enumerate(frames):
        k = first.setdefault(fingerprint(frame), i)
        if k != i:
            (conflicting if _labels_differ(frames[k], frame) else twice).append(i)
    findings = []
    if twice:
        message = f"{len(twice)} frames repeat an earlier one: {list_frames(frames, twice)}"
        findings.append(Finding("duplicates", "warning", message, tuple(twice)))
    if conflicting:
        message = (
            f"{len(conflicting)} frames repeat an earlier structure with other labels: "
            f"{list_frames(frames, conflicting)}"
        )
        findings.append(Finding("conflicting-labels", "error", message, tuple(conflicting)))
    return findings or [Finding("duplicates", "ok", "no structure comes twice")]


def _labels_differ(a: Frame, b: Frame) -> bool:
    if a.energy is not None and b.energy is not None and abs(a.energy - b.energy) > 1e-3 * max(len(a), 1):
        return True
    if a.forces is None or b.forces is None or len(a) == 0:
        return False
    return bool(np.abs(a.forces - b.forces).max() > 1e-2)
