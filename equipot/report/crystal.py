"""Sections about a crystal: the relaxed structure, its equation of state, elastic constants and phonons."""

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

NEAR, FAR = 0.01, 0.04  # largest strains of the fit and of the picture
LONGEST = 15.0  # Å, smallest length of the sides of the phonon supercell, if the number of atoms allows it


def at_rest(subject: Subject) -> Section:
    """Make the section about the relaxed crystal."""
    relaxed = subject.crystal_at_rest()
    atoms, end = relaxed.atoms, relaxed.end
    section = Section(
        "Crystal",
        f"{atoms.get_chemical_formula()} from {subject.crystal_source}. Atoms and cell are relaxed in its space group.",
    )
    names = ("a", "b", "c")
    before, after = (x.cell.cellpar() for x in (subject.crystal, atoms) if x is not None)
    rows: list[tuple[str, ...]]
    rows = [(f"{n} (Å)", f"{before[k]:.4f}", f"{after[k]:.4f}") for k, n in enumerate(names)]
    rows += [(f"{n} (°)", f"{before[k + 3]:.3f}", f"{after[k + 3]:.3f}") for k, n in enumerate("αβγ")]
    rows.append(
        (
            "volume (Å³/atom)",
            *(f"{s.volume / len(atoms):.4f}" for s in (relaxed.start, end) if s.volume is not None),
        )
    )
    rows.append(("energy (eV/atom)", *(f"{s.energy / len(atoms):.5f}" for s in (relaxed.start, end))))
    section.tables.append(Grid(("", "start", "relaxed"), rows))
    section.figures.append(Figure("energy of the crystal", end.energy / len(atoms), "eV/atom", form=".4f"))
    return section


def curve(subject: Subject) -> Section:
    """Make the section about the equation of state, compared with labels of the crystal at other volumes."""
    atoms = subject.crystal_at_rest().atoms
    n = len(atoms)
    fitted = equation_of_state(atoms, subject.calculator, np.linspace(-NEAR, NEAR, 9))
    labelled = labelled_volumes(subject.frames, atoms)
    section = Section(
        "Equation of state",
        "Energy of the uniformly strained crystal with fixed scaled positions. The bulk modulus is from a "
        f"Birch-Murnaghan fit within ±{100 * NEAR:g} % of the lengths. If labelled frames are the crystal at other "
        "volumes, a second fit uses their labels, and a third one the model's energies of these frames.",
    )
    lengths = _different(atoms.cell.lengths())
    section.figures = [
        Figure(f"lattice parameter {name}", length, "Å", form=".4f") for name, length in lengths
    ]
    section.figures.append(Figure("bulk modulus", fitted["bulk_modulus"], "GPa", form=".1f"))
    volumes, energies = _fine(subject, labelled)
    dft_points = model_points = None
    if labelled is not None:
        predicted = np.array([_energy(subject, f.to_atoms()) for f in labelled.frames])
        dft_points = np.stack([labelled.volumes, labelled.energies], axis=1)
        model_points = np.stack([labelled.volumes, predicted], axis=1)
        error = (predicted - predicted.min()) - (labelled.energies - labelled.energies.min())
        section.remarks.append(
            f"{len(labelled.frames)} labelled frames are this crystal at other volumes. The model's relative energies "
            f"differ from theirs by {1000 * float(np.sqrt(np.mean(error**2))):.2f} meV/atom (root mean square)."
        )
        model_fit, label_fit = replace(labelled, energies=predicted).fit(), labelled.fit()
        if model_fit is None or label_fit is None:
            section.remarks.append(
                "These frames are too few, or too far from the minimum, for a lattice parameter from DFT."
            )
        else:
            size = [(n * v / atoms.get_volume()) ** (1 / 3) for v, _ in (model_fit, label_fit)]
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
                Figure("bulk modulus, of labelled volumes", model_fit[1], "GPa", label_fit[1], ".1f")
            )
    elif subject.frames:
        section.remarks.append(
            "No labelled frames are this crystal at other volumes, so there are no values from DFT here."
        )
    section.images.append(
        ("energy over volume", figures.equation_of_state(volumes, energies, dft_points, model_points))
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
    """Return volumes and energies per atom of a dense curve that covers the labelled volumes."""
    atoms = subject.crystal_at_rest().atoms
    low, high = 1 - FAR, 1 + FAR
    if labelled is not None:
        sizes = (labelled.volumes * len(atoms) / atoms.get_volume()) ** (1 / 3)
        low, high = min(low, sizes.min()), max(high, sizes.max())
    scaled = [deformed(atoms, subject.calculator, s * np.eye(3)) for s in np.linspace(low, high, 41)]
    return (
        np.array([a.get_volume() / len(a) for a in scaled]),
        np.array([a.get_potential_energy() / len(a) for a in scaled]),
    )


def _energy(subject: Subject, atoms: Atoms) -> float:
    atoms.calc = subject.calculator
    return float(atoms.get_potential_energy()) / len(atoms)


def _different(lengths: np.ndarray) -> list[tuple[str, float]]:
    """Return names and values of the cell lengths that differ from each other."""
    different: list[tuple[str, float]] = []
    for name, length in zip("abc", lengths):
        if all(abs(length - other) > 1e-4 for _, other in different):
            different.append((name, float(length)))
    return different


def elastic(subject: Subject) -> Section:
    """Make the section about the elastic constants."""
    constants = elastic_constants(subject.crystal_at_rest().atoms, subject.calculator)
    section = Section(
        "Elastic constants",
        "Elastic constants in GPa, from the stress at strains of ±0.5 % with relaxed atoms. They are averaged over the "
        f"symmetry ({constants.system}) and refer to its usual axes.",
    )
    section.figures = [
        Figure(name, value, "GPa", form=".1f") for name, value in constants.independent().items()
    ]
    moduli = constants.moduli()
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
            [(a, *(f"{x + 0.0:.1f}" for x in np.round(row, 1))) for a, row in zip(axes, constants.tensor)],
        )
    )
    section.remarks.append(
        f"The average over the symmetry changed the constants by {constants.asymmetry:.2g} GPa at most."
    )
    if not constants.stable:
        section.remarks.append(
            "The crystal is not stable: a small strain lowers its energy (Born's criterion)."
        )
    if subject.frames:
        section.remarks.append("The labels contain no elastic constants for a comparison.")
    return section


def phonon_supercell(atoms: Atoms, most_atoms: int) -> tuple[int, int, int]:
    """Return the repeats of a supercell with sides of 15 Å or more, or of less to have at most so many atoms.

    Raises:
        NumericsError: the cell alone has more atoms.
    """
    length = LONGEST
    while len(atoms) * int(np.prod(supercell_of_length(atoms, length))) > most_atoms and length > 2:
        length -= 0.5
    supercell = supercell_of_length(atoms, length)
    if len(atoms) * int(np.prod(supercell)) > most_atoms:
        raise NumericsError(
            f"the cell has {len(atoms)} atoms, too many for a report; use `equipot phonons`, which has no limit"
        )
    return supercell


def vibrations(subject: Subject) -> Section:
    """Make the section about phonons: bands, density of states, frequencies at Γ."""
    atoms = subject.crystal_at_rest().atoms
    supercell = phonon_supercell(atoms, subject.max_phonon_atoms)
    n_atoms = len(atoms) * int(np.prod(supercell))
    result = phonons(atoms, subject.calculator, supercell)
    section = Section(
        "Phonons",
        f"Finite displacements in a supercell {' × '.join(map(str, supercell))} of {n_atoms} atoms, with phonopy. "
        "Imaginary frequencies are shown as negative.",
    )
    image = BytesIO()
    plot_phonons(image, result)
    section.images.append(("phonon bands and density of states", image.getvalue()))
    section.tables.append(
        Grid(
            ("Γ", "THz"),
            [(f"mode {k + 1}", f"{f + 0.0:.3f}") for k, f in enumerate(np.round(np.sort(result.gamma), 3))],
        )
    )
    section.figures.append(Figure("highest frequency at Γ", float(result.gamma.max()), "THz", form=".2f"))
    lowest = min(float(f.min()) for f in result.bands.frequencies)
    section.figures.append(Figure("lowest frequency of all bands", lowest, "THz", form=".3f"))
    at_300 = result.thermal[np.abs(result.thermal[:, 0] - 300).argmin()]
    section.figures.append(
        Figure("heat capacity at 300 K, per primitive cell", float(at_300[3]), "J/K/mol", form=".2f")
    )
    section.remarks += [f"There is an {mode.sentence()}." for mode in result.imaginary]
    section.remarks.append(
        f"Acoustic frequencies at Γ were {result.acoustic:.3f} THz at most before the sum rule was imposed. "
        "The model has no charges, so the modes of polar crystals have no LO-TO splitting."
    )
    return section
