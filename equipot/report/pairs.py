"""Section: two atoms alone, and how their interaction ends."""

from collections import defaultdict
from itertools import combinations_with_replacement

import numpy as np
from ase.data import chemical_symbols

from equipot.errors import DataError
from equipot.properties.dimers import Dimer, dimer
from equipot.report.figures import dimer_curves, near_cutoff
from equipot.report.section import Figure, Grid, Section, Subject
from equipot.structures.frame import Frame

TITLE = "Pairs of atoms"


def pairs(subject: Subject) -> Section:
    """Curves of all pairs, minima, and jumps at the cutoff."""
    if not subject.elements:
        raise DataError("no element was chosen; name some with --elements")
    found = [
        dimer(a, b, subject.calculator, subject.cutoff_of(a, b))
        for a, b in combinations_with_replacement(subject.elements, 2)
    ]
    labels = labelled_dimers(subject.frames)
    section = Section(
        TITLE,
        "Energy of two atoms over their distance, relative to the atoms far apart; dotted: the cutoff. Curves are no "
        "better than what was trained on: where no such distances were, a wall may be missing.",
    )
    section.tables.append(
        Grid(
            ("pair", "minimum Å", "depth eV", "jump of energy eV", "of force eV/Å", "of its slope eV/Å²"),
            [_row(d) for d in found],
            "Minima, and jumps at the cutoff",
        )
    )
    section.images = [
        ("dimer curves", dimer_curves(found, labels)),
        ("forces near the cutoff", near_cutoff(found)),
    ]
    section.figures = [
        Figure("largest jump of a force at the cutoff", max(d.jump_force for d in found), "eV/Å", form=".1e"),
        Figure("largest jump of its slope", max(d.jump_slope for d in found), "eV/Å²", form=".1e"),
    ]
    worst = max(found, key=lambda d: d.work)
    section.remarks.append(
        f"Forces integrate to the energies within {worst.work:.1e} eV ({'–'.join(worst.elements)}, by Simpson's rule)."
    )
    if subject.calculator.model.metadata.spec["envelope"] == "xplor":
        section.remarks.append(
            "The slope of the force jumps because the model's envelope, XPLOR's, ends with a curvature."
        )
    hollow = ["–".join(d.elements) for d in found if d.energies[0] < 0]
    if hollow:
        section.remarks.append(
            f"No wall: at the shortest distance shown {', '.join(hollow)} have less energy than far apart; hot atoms "
            "may fall in. A ZBL term (model.zbl) or data of short distances help."
        )
    if labels:
        n = sum(map(len, labels.values()))
        section.remarks.append(
            f"Points: {n} frames of two atoms, from the DFT labels and those of single atoms."
        )
    return section


def _row(found: Dimer) -> tuple[str, ...]:
    minimum = found.minimum
    place = ("–", "–") if minimum is None else (f"{minimum[0]:.3f}", f"{minimum[1]:.3f}")
    jumps = (found.jump_energy, found.jump_force, found.jump_slope)
    return ("–".join(found.elements), *place, *(f"{x:.1e}" for x in jumps))


def labelled_dimers(frames: list[Frame]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Distance (Å) and binding energy (eV) of frames of two atoms, where single atoms of both are labelled too.

    Frames with periodic directions count when their cell is 8 Å and more along these.
    """
    alone = {
        chemical_symbols[f.numbers[0]]: f.energy
        for f in frames
        if len(f) == 1 and f.energy is not None and _roomy(f)
    }
    found = defaultdict(list)
    for f in frames:
        if len(f) != 2 or f.energy is None or not _roomy(f):
            continue
        a, b = sorted(chemical_symbols[z] for z in f.numbers)
        if a in alone and b in alone:
            distance = float(f.to_atoms().get_distance(0, 1, mic=bool(f.pbc.any())))
            point = (distance, f.energy - alone[a] - alone[b])
            found[a, b].append(point)
            if a != b:
                found[b, a].append(point)
    return dict(found)


def _roomy(frame: Frame) -> bool:
    return bool((np.linalg.norm(frame.cell, axis=1)[frame.pbc] >= 8.0).all())
