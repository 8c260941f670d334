"""The section about a short run of molecular dynamics."""

from equipot import native
from equipot.properties.motion import measure_motion
from equipot.properties.rdf import radial_distribution
from equipot.report import figures
from equipot.report.section import Figure, Section, Subject
from equipot.speed.structure import repeat

FARTHEST = 8.0  # Å, largest distance of g(r)


def motion(subject: Subject) -> Section:
    """Make the section about molecular dynamics: energy conservation, g(r) and time per step."""
    atoms = subject.at_rest().atoms
    if atoms.pbc.any():
        atoms = repeat(atoms, subject.md_atoms)
    timestep = subject.timestep
    if "H" in set(atoms.symbols):
        timestep = min(timestep, 0.5)
    run = measure_motion(atoms, subject.calculator, subject.temperature, subject.duration, timestep)
    threads = native.threads()
    hardware = "1 thread" if threads == 1 else f"{threads} threads"
    if subject.calculator.model.device != "cpu":
        hardware = subject.calculator.model.device
    section = Section(
        "Molecular dynamics",
        f"{len(atoms)} atoms: 0.5 ps with a thermostat at {subject.temperature:g} K, then {subject.duration:g} ps "
        f"at constant energy with steps of {timestep:g} fs.",
    )
    microseconds = 1e6 * run.seconds_per_step / len(atoms)
    section.figures = [
        Figure("drift of the energy", 1e6 * run.drift, "µeV/atom/ps", form="+.2g"),
        Figure("fluctuation of the energy", 1e6 * run.deviation, "µeV/atom", form=".2g"),
        Figure("mean temperature at constant energy", float(run.temperatures.mean()), "K", form=".0f"),
    ]
    if run.pressures is not None:
        section.figures.append(Figure("mean pressure", float(run.pressures.mean()), "GPa", form=".2f"))
    section.figures.append(
        Figure(
            f"time per atom and step ({hardware})",
            microseconds,
            "µs",
            form=".3g" if microseconds < 1000 else ".0f",
        )
    )
    section.images.append(("temperature and total energy", figures.motion(run)))
    if not atoms.pbc.all():
        section.remarks.append("There is no g(r), because a molecule or a layer has no density.")
        return section
    heights = 1 / (atoms.cell.reciprocal().lengths())
    reach = min(FARTHEST, float(heights.min()) / 2)
    g = radial_distribution(run.frames, reach)
    section.images.append(("radial distribution function", figures.distribution(g)))
    peak, height = g.first_peak
    section.remarks.append(
        f"The highest peak of g(r) is at {peak:.2f} Å ({height:.2f}). The curve ends at half the height of the cell, "
        f"but at {FARTHEST:g} Å at most."
    )
    return section
