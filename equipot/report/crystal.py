"""Sections: the crystal at rest, its equation of state, elastic constants and phonons."""

from dataclasses import replace
from io import BytesIO

import numpy as np
from ase import Atoms

from equipot.errors import NumericsError
from equipot.properties.elastic import elastic_constants
from equipot.properties.phonon_files import plot_phonons
from equipot.properties.phonons import phonons, supercell_of_length
from equipot.properties.physics import deformed, equation_of_state
from equipot.report import figures
from equipot.report.labelled_volumes import LabelledVolumes, labelled_volumes
from equipot.report.section import Figure, Grid, Section, Subject

NEAR, FAR = 0.01, 0.04  # strains: of the fit, and of the picture
LONGEST = 15.0  # Å, of a side of the phonons' supercell


def at_rest(subject: Subject) -> Section:
    """The relaxed crystal."""
    found = subject.crystal_at_rest()
    atoms, end = found.atoms, found.end
    section = Section(
        "Crystal",
        f"{atoms.get_chemical_formula()} from {subject.crystal_source}, relaxed in its space group: atoms and cell.",
    )
    names = ("a", "b", "c")
    before, after = (x.cell.cellpar() for x in (subject.crystal, atoms) if x is not None)
    rows: list[tuple[str, ...]]
    rows = [(f"{n} (Å)", f"{before[k]:.4f}", f"{after[k]:.4f}") for k, n in enumerate(names)]
    rows += [(f"{n} (°)", f"{before[k + 3]:.3f}", f"{after[k + 3]:.3f}") for k, n in enumerate("αβγ")]
    rows.append(
        (
            "volume (Å³/atom)",
            *(f"{s.volume / len(atoms):.4f}" for s in (found.start, end) if s.volume is not None),
        )
    )
    rows.append(("energy (eV/atom)", *(f"{s.energy / len(atoms):.5f}" for s in (found.start, end))))
    section.tables.append(Grid(("", "as found", "relaxed"), rows))
    section.figures.append(Figure("energy of the crystal", end.energy / len(atoms), "eV/atom", form=".4f"))
    return section


def curve(subject: Subject) -> Section:
    """Energy over volume, beside the same volumes in the labels."""
    atoms = subject.crystal_at_rest().atoms
    n = len(atoms)
    fitted = equation_of_state(atoms, subject.calculator, np.linspace(-NEAR, NEAR, 9))
    labelled = labelled_volumes(subject.frames, atoms)
    section = Section(
        "Equation of state",
        "Energy of the uniformly strained crystal, scaled positions fixed. The bulk modulus is that of a "
        f"Birch-Murnaghan curve within ±{100 * NEAR:g} % of the lengths; where labels hold the crystal at other "
        "volumes, both they and the model at these volumes are fitted alike.",
    )
    lengths = _different(atoms.cell.lengths())
    section.figures = [
        Figure(f"lattice parameter {name}", length, "Å", form=".4f") for name, length in lengths
    ]
    section.figures.append(Figure("bulk modulus", fitted["bulk_modulus"], "GPa", form=".1f"))
    volumes, energies = _fine(subject, labelled)
    dft_points = same = None
    if labelled is not None:
        predicted = np.array([_energy(subject, f.to_atoms()) for f in labelled.frames])
        dft_points = np.stack([labelled.volumes, labelled.energies], axis=1)
        same = np.stack([labelled.volumes, predicted], axis=1)
        error = (same[:, 1] - same[:, 1].min()) - (labelled.energies - labelled.energies.min())
        section.remarks.append(
            f"{len(labelled.frames)} labelled frames are this crystal at other volumes; relative energies differ from "
            f"theirs by {1000 * float(np.sqrt(np.mean(error**2))):.2f} meV/atom (root mean square)."
        )
        found, of_labels = replace(labelled, energies=predicted).fit(), labelled.fit()
        if found is None or of_labels is None:
            section.remarks.append(
                "These are too few, or too far from the minimum, for a lattice parameter from DFT."
            )
        else:
            size = [(n * v / atoms.get_volume()) ** (1 / 3) for v, _ in (found, of_labels)]
            section.figures += [
                Figure(
                    f"lattice parameter {name}, of labelled volumes",
                    length * size[0],
                    "Å",
                    length * size[1],
                    ".4f",
                )
                for name, length in lengths
            ]
            section.figures.append(
                Figure("bulk modulus, of labelled volumes", found[1], "GPa", of_labels[1], ".1f")
            )
    elif subject.frames:
        section.remarks.append(
            "No labelled frames are this crystal at other volumes, so there are no values from DFT."
        )
    section.images.append(
        ("energy over volume", figures.equation_of_state(volumes, energies, dft_points, same))
    )
    section.tables.append(
        Grid(
            ("strain", "volume Å³/atom", "energy eV/atom"),
            [
                (f"{s:+.3f}", f"{v / n:.4f}", f"{e / n:.6f}")
                for s, v, e in zip(fitted["strains"], fitted["volumes"], fitted["energies"])
            ],
        )
    )
    return section


def _fine(subject: Subject, labelled: LabelledVolumes | None) -> tuple[np.ndarray, np.ndarray]:
    """A dense curve that reaches as far as the labels."""
    atoms = subject.crystal_at_rest().atoms
    low, high = 1 - FAR, 1 + FAR
    if labelled is not None:
        sizes = (labelled.volumes * len(atoms) / atoms.get_volume()) ** (1 / 3)
        low, high = min(low, sizes.min()), max(high, sizes.max())
    found = [deformed(atoms, subject.calculator, s * np.eye(3)) for s in np.linspace(low, high, 41)]
    return (
        np.array([a.get_volume() / len(a) for a in found]),
        np.array([a.get_potential_energy() / len(a) for a in found]),
    )


def _energy(subject: Subject, atoms: Atoms) -> float:
    atoms.calc = subject.calculator
    return float(atoms.get_potential_energy()) / len(atoms)


def _different(lengths: np.ndarray) -> list[tuple[str, float]]:
    """Names and values of the lengths that symmetry does not make equal."""
    found: list[tuple[str, float]] = []
    for name, length in zip("abc", lengths):
        if all(abs(length - other) > 1e-4 for _, other in found):
            found.append((name, float(length)))
    return found


def elastic(subject: Subject) -> Section:
    """Elastic constants in the symmetry of the crystal."""
    found = elastic_constants(subject.crystal_at_rest().atoms, subject.calculator)
    section = Section(
        "Elastic constants",
        f"From the stress at strains of ±0.5 %, atoms relaxed, averaged over the symmetry ({found.system}), in its "
        "usual axes; GPa.",
    )
    section.figures = [Figure(name, value, "GPa", form=".1f") for name, value in found.independent().items()]
    moduli = found.moduli()
    section.tables.append(
        Grid(
            ("modulus (Hill)", "GPa"),
            [(name, f"{moduli[name]:.1f}") for name in ("bulk", "shear", "Young")]
            + [("Poisson's ratio", f"{moduli['Poisson']:.3f}")],
        )
    )
    axes = ("xx", "yy", "zz", "yz", "xz", "xy")
    section.tables.append(
        Grid(
            ("", *axes),
            [(a, *(f"{x + 0.0:.1f}" for x in np.round(row, 1))) for a, row in zip(axes, found.tensor)],
        )
    )
    section.remarks.append(f"Imposing the symmetry changed them by {found.asymmetry:.2g} GPa at most.")
    if not found.stable:
        section.remarks.append(
            "The crystal is not stable: a small strain lowers its energy (Born's criterion)."
        )
    if subject.frames:
        section.remarks.append("Labels hold no elastic constants to compare with.")
    return section


def vibrations(subject: Subject) -> Section:
    """Bands, density of states, frequencies at Γ."""
    atoms = subject.crystal_at_rest().atoms
    length = LONGEST
    while (
        len(atoms) * int(np.prod(supercell_of_length(atoms, length))) > subject.atoms_at_most and length > 2
    ):
        length -= 0.5
    times = supercell_of_length(atoms, length)
    if len(atoms) * int(np.prod(times)) > subject.atoms_at_most:
        raise NumericsError(
            f"the cell has {len(atoms)} atoms; use `equipot phonons`, which takes as long as it needs"
        )
    found = phonons(atoms, subject.calculator, times)
    section = Section(
        "Phonons",
        f"Finite displacements in a supercell {' × '.join(map(str, times))} of {len(atoms) * int(np.prod(times))} "
        "atoms, by phonopy; imaginary frequencies below zero.",
    )
    image = BytesIO()
    plot_phonons(image, found)
    section.images.append(("phonon bands and density of states", image.getvalue()))
    section.tables.append(
        Grid(
            ("Γ", "THz"),
            [(f"mode {k + 1}", f"{f + 0.0:.3f}") for k, f in enumerate(np.round(np.sort(found.gamma), 3))],
        )
    )
    section.figures.append(Figure("highest frequency at Γ", float(found.gamma.max()), "THz", form=".2f"))
    lowest = min(float(f.min()) for f in found.bands.frequencies)
    section.figures.append(Figure("lowest frequency of all bands", lowest, "THz", form=".3f"))
    at_300 = found.thermal[np.abs(found.thermal[:, 0] - 300).argmin()]
    section.figures.append(
        Figure("heat capacity at 300 K, per primitive cell", float(at_300[3]), "J/K/mol", form=".2f")
    )
    section.remarks += [f"There is an {mode.sentence()}." for mode in found.imaginary]
    section.remarks.append(
        f"Acoustic frequencies at Γ were {found.acoustic:.3f} THz at most before the sum rule was imposed. "
        "Polar crystals have no splitting of longitudinal and transverse modes here."
    )
    return section
