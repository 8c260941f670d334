"""Checks of distances: the number of neighbours within the cutoff, coincident and isolated atoms."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from equipot.data.checks.report import Finding
from equipot.data.checks.structures import list_frames
from equipot.data.split import is_isolated_atom
from equipot.neighbours import neighbour_list
from equipot.structures.frame import Frame

_COINCIDENT, _TOO_CLOSE = 0.1, 0.5  # Å
_REACH = 6.0  # Å, for the shortest distance, if the cutoff is shorter
_MOST_NEIGHBOURS = 2000  # a training with more is hopeless, and a search takes minutes
# Before the search, neighbours are counted for so many frames, and for so many atoms in each.
_SAMPLE, _CENTRES = 10, 4
_MOST_IMAGES = 3e5  # largest number of atoms and their images for this count


def check_neighbours(frames: Sequence[Frame], usable: Sequence[int], cutoff: float) -> list[Finding]:
    """Return the findings neighbours, coincident-atoms and isolated-atoms."""
    number = max(
        (_expected_neighbours(frames[i], cutoff) for i in usable[:: len(usable) // _SAMPLE + 1]), default=0.0
    )
    if number > _MOST_NEIGHBOURS:  # a search would take very long
        rounded = round(number, 1 - int(np.log10(number)))
        message = (
            f"a cutoff of {cutoff:g} Å means about {rounded:.0f} neighbours per atom; choose a shorter one: usual are "
            "4 to 7 Å"
        )
        return [Finding("neighbours", "error", message, certain=True)]
    counts: list[np.ndarray] = []
    coincident, close, without_neighbour, single_atoms = [], [], [], []
    shortest = np.inf
    for i in usable:
        frame = frames[i]
        edges, _, vectors = neighbour_list(frame.positions, frame.cell, frame.pbc, cutoff)
        count = np.bincount(edges[0], minlength=len(frame))
        if len(vectors):
            distance = float(np.sqrt(np.einsum("ea,ea->e", vectors, vectors).min()))
            shortest = min(shortest, distance)
            if distance < _COINCIDENT:
                coincident.append(i)
            elif distance < _TOO_CLOSE:
                close.append(i)
        if is_isolated_atom(frame):
            single_atoms.append(i)
            continue
        counts.append(count)
        if (count == 0).any():
            without_neighbour.append(i)
    if counts and not any(count.any() for count in counts):
        return [_no_neighbours([frames[i] for i in usable], cutoff)]
    findings = _number_of_neighbours(counts, cutoff, len(single_atoms))
    if coincident:
        message = _closer(frames, coincident, _COINCIDENT)
        findings.append(Finding("coincident-atoms", "error", message, tuple(coincident)))
    if close:
        message = _closer(frames, close, _TOO_CLOSE)
        findings.append(Finding("coincident-atoms", "warning", message, tuple(close)))
    if not coincident and not close and np.isfinite(shortest):
        findings.append(Finding("coincident-atoms", "ok", f"the shortest distance is {shortest:.3f} Å"))
    if without_neighbour:
        message = (
            f"{len(without_neighbour)} frames have atoms without a neighbour within {cutoff:g} Å. Their energy is "
            f"E0: {list_frames(frames, without_neighbour)}"
        )
        findings.append(Finding("isolated-atoms", "warning", message, tuple(without_neighbour)))
    if single_atoms:
        message = f"{len(single_atoms)} frames are isolated atoms; their energies are reference energies"
        findings.append(Finding("isolated-atoms", "note", message, tuple(single_atoms)))
    return findings


def _expected_neighbours(frame: Frame, cutoff: float) -> float:
    """Count the neighbours of a few atoms. With very many images of the cell, use their number in the sphere instead.

    The sphere is then so large that vacuum in the cell does not matter.
    """
    vectors = frame.cell[frame.pbc]
    inverse = np.linalg.pinv(vectors)
    limits = np.floor(cutoff * np.linalg.norm(inverse, axis=0)).astype(int) + 1
    if len(vectors) and len(frame) * np.prod(2.0 * limits + 1) > _MOST_IMAGES:
        ball = {1: 2 * cutoff, 2: np.pi * cutoff**2, 3: 4 / 3 * np.pi * cutoff**3}[len(vectors)]
        return float(len(frame) * ball / np.sqrt(np.linalg.det(vectors @ vectors.T)))
    images = np.array(list(product(*(range(-n, n + 1) for n in limits))))
    wrapped = frame.positions - np.floor(frame.positions @ inverse) @ vectors
    atoms = (wrapped + (images @ vectors)[:, None]).reshape(-1, 3)
    centres = wrapped[:: len(frame) // _CENTRES + 1]
    counts = [np.count_nonzero(np.square(atoms - c).sum(axis=1) < cutoff**2) - 1 for c in centres]
    return float(np.mean(counts)) if counts else 0.0


def _no_neighbours(frames: Sequence[Frame], cutoff: float) -> Finding:
    shortest = np.inf
    for frame in frames:
        _, _, vectors = neighbour_list(frame.positions, frame.cell, frame.pbc, _REACH)
        shortest = min(shortest, float(np.linalg.norm(vectors, axis=1).min(initial=np.inf)))
    if cutoff < shortest < np.inf:
        message = (
            f"the cutoff of {cutoff:g} Å is shorter than the shortest distance, {shortest:.3g} Å: choose about 5 Å, or "
            "check that positions are in Å"
        )
    else:
        message = (
            f"no atom of the set has a neighbour within {max(cutoff, _REACH):g} Å; positions must be in Å"
        )
    return Finding("neighbours", "error", message, certain=bool(np.isfinite(shortest)))


def _closer(frames: Sequence[Frame], indices: list[int], distance: float) -> str:
    return f"{len(indices)} frames have atoms closer than {distance} Å: {list_frames(frames, indices)}"


def _number_of_neighbours(counts: list[np.ndarray], cutoff: float, n_single_atoms: int) -> list[Finding]:
    flat = np.concatenate([np.zeros(0, dtype=np.int64), *counts])
    if len(flat) == 0:
        if n_single_atoms:
            return []
        return [Finding("neighbours", "error", "no frame has a valid geometry and atoms")]
    message = f"{flat.mean():.1f} neighbours per atom within {cutoff:g} Å (from {flat.min()} to {flat.max()})"
    return [Finding("neighbours", "warning" if flat.mean() > 500 else "ok", message)]
