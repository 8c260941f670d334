"""The sections of a report, and the report as an HTML page and as JSON values."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from equipot import __version__
from equipot.errors import EquipotError
from equipot.report.crystal import at_rest, curve, elastic, vibrations
from equipot.report.dynamics import motion
from equipot.report.labels import errors, learning
from equipot.report.page import page
from equipot.report.pairs import pairs
from equipot.report.section import Grid, Section, Subject

# Name for --skip: title of a missing section, and the function that makes the section.
SECTIONS: dict[str, tuple[str, Callable[[Subject], Section]]] = {
    "errors": ("Errors", errors),
    "training": ("Training", learning),
    "pairs": ("Pairs of atoms", pairs),
    "crystal": ("Crystal", at_rest),
    "eos": ("Equation of state", curve),
    "elastic": ("Elastic constants", elastic),
    "phonons": ("Phonons", vibrations),
    "md": ("Molecular dynamics", motion),
}


@dataclass(frozen=True)
class Report:
    """The sections of a report in order, and the HTML page."""

    sections: list[Section]
    html: str

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        return {
            section.title: {
                "figures": [
                    {"name": f.name, "value": f.value, "unit": f.unit, "dft": f.dft} for f in section.figures
                ],
                "missing": section.missing or None,
            }
            for section in self.sections
        }


def make_report(
    subject: Subject, skip: Sequence[str] = (), progress: Callable[[str, int, int], object] | None = None
) -> Report:
    """Make a report with all sections except those to skip.

    If a section cannot be made, its `missing` has the reason. If it fails due to an error in the program, `missing` has
    the error, and `failed` is set.

    Args:
        subject: the model and the structures.
        skip: names of sections to leave out.
        progress: called at the start of each section with its title, its number and the number of sections.
    """
    chosen = {name: section for name, section in SECTIONS.items() if name not in skip}
    sections = []
    for k, (title, maker) in enumerate(chosen.values()):
        if progress is not None:
            progress(title, k, len(chosen))
        start = time.perf_counter()
        try:
            section = maker(subject)
        except EquipotError as error:
            section = Section(title, missing=f"{error}.")
        except (
            Exception
        ) as error:  # the other sections are still made; the exit code of the command reports the error
            section = Section(title, missing=f"{type(error).__name__}: {error}", failed=True)
        section.seconds = time.perf_counter() - start
        sections.append(section)
    for name in skip:
        sections.append(Section(SECTIONS[name][0], missing="left out by --skip."))
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    title = f"Physics of {subject.calculator.model.path.name}"
    return Report(sections, page(title, _facts(subject), sections, f"equipot {__version__}, {now}"))


def _facts(subject: Subject) -> Grid:
    """Return a table with facts about the model and the data."""
    metadata = subject.calculator.model.metadata
    spec = metadata.spec
    names = list(metadata.type_names)
    elements = ", ".join(names) if len(names) <= 20 else f"{len(names)} elements, {', '.join(names[:8])}, …"
    rows = [
        ("model", str(subject.calculator.model.path)),
        ("elements", elements),
        (
            "network",
            f"{spec['n_layers']} layers of {spec['hidden_irreps']}, cutoff {metadata.cutoff:g} Å, {metadata.dtype}",
        ),
        ("written", f"{metadata.created} by equipot {metadata.equipot_version}"),
        ("data", ", ".join(subject.files) or "none"),
        ("crystal", subject.crystal_source or "none"),
    ]
    statistics = metadata.statistics or {}
    if "n_frames" in statistics:
        rows.append(
            ("trained on", f"{statistics['n_frames']} frames, {statistics.get('n_atoms', '?')} atoms")
        )
    return Grid(("", ""), rows)
