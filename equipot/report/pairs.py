"""The section about pairs of atoms: their energy curves, and the smoothness of these at the cutoff."""

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
    """Make the section about pairs of atoms: curves, minima, and jumps at the cutoff."""
    if not subject.elements:
        raise DataError("no elements were chosen; choose them with --elements")
    dimers = [
        dimer(a, b, subject.calculator, subject.cutoff_of(a, b))
        for a, b in combinations_with_replacement(subject.elements, 2)
    ]
    labels = labelled_dimers(subject.frames)
    section = Section(
        TITLE,
        "Energy of two atoms over their distance, relative to isolated atoms. Dotted lines mark the cutoff. "
        "At distances that the training set lacks, the curves are not reliable; the repulsion may even be missing.",
    )
    section.tables.append(
        Grid(
            ("pair", "minimum Å", "depth eV", "jump of energy eV", "of force eV/Å", "of its slope eV/Å²"),
            [_row(d) for d in dimers],
            "Minima, and jumps at the cutoff",
        )
    )
    section.images = [
        ("dimer curves", dimer_curves(dimers, labels)),
        ("forces near the cutoff", near_cutoff(dimers)),
    ]
    section.figures = [
        Figure(
            "largest jump of a force at the cutoff", max(d.jump_force for d in dimers), "eV/Å", form=".1e"
        ),
        Figure("largest jump of its slope", max(d.jump_slope for d in dimers), "eV/Å²", form=".1e"),
    ]
    worst = max(dimers, key=lambda d: d.work)
    section.remarks.append(
        f"The integrals of the forces differ from the energies by {worst.work:.1e} eV at most "
        f"({'–'.join(worst.elements)}, with Simpson's rule)."
    )
    if subject.calculator.model.metadata.spec["envelope"] == "xplor":
        section.remarks.append(
            "The slope of the force jumps because the model's xplor envelope has a curvature at the cutoff."
        )
    attractive = ["–".join(d.elements) for d in dimers if d.energies[0] < 0]
    if attractive:
        section.remarks.append(
            f"No repulsion: at the shortest distance of the curve, {', '.join(attractive)} have less energy than "
            "isolated atoms, so hot atoms may collapse. A repulsive core (model.repulsion) or data of short distances "
            "help."
        )
    if labels:
        n = sum(map(len, labels.values()))
        section.remarks.append(
            f"The points are {n} labelled frames of two atoms, relative to labelled isolated atoms."
        )
    return section


def _row(dimer: Dimer) -> tuple[str, ...]:
    minimum = ("–", "–") if dimer.minimum is None else tuple(f"{x:.3f}" for x in dimer.minimum)
    jumps = (dimer.jump_energy, dimer.jump_force, dimer.jump_slope)
    return ("–".join(dimer.elements), *minimum, *(f"{x:.1e}" for x in jumps))


def labelled_dimers(frames: list[Frame]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Return distances (Å) and binding energies (eV) of labelled frames of two atoms, by pair of elements.

    Both elements must have a labelled frame of a single atom. In periodic directions, cells must be at least 8 Å long.
    """
    atom_energies = {
        chemical_symbols[f.numbers[0]]: f.energy
        for f in frames
        if len(f) == 1 and f.energy is not None and _has_large_cell(f)
    }
    points = defaultdict(list)
    for f in frames:
        if len(f) != 2 or f.energy is None or not _has_large_cell(f):
            continue
        a, b = sorted(chemical_symbols[z] for z in f.numbers)
        if a in atom_energies and b in atom_energies:
            distance = float(f.to_atoms().get_distance(0, 1, mic=bool(f.pbc.any())))
            point = (distance, f.energy - atom_energies[a] - atom_energies[b])
            points[a, b].append(point)
            if a != b:
                points[b, a].append(point)
    return dict(points)


def _has_large_cell(frame: Frame) -> bool:
    return bool((np.linalg.norm(frame.cell, axis=1)[frame.pbc] >= 8.0).all())
