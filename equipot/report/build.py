"""All sections, the page, and what the terminal shows of it."""

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

# Name for --skip, title where it is missing, maker.
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
    """Sections in order, and the page they make."""

    sections: list[Section]
    html: str

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
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
    subject: Subject, skip: Sequence[str] = (), begun: Callable[[str, int, int], object] | None = None
) -> Report:
    """Make all sections but those to skip.

    begun: called with the title of a section, its number and the number of all when it begins. A section that cannot be
    made says why; one that fails by an error in the program says so too, and has `failed` set.
    """
    wanted = {name: maker for name, maker in SECTIONS.items() if name not in skip}
    made = []
    for k, (title, maker) in enumerate(wanted.values()):
        if begun is not None:
            begun(title, k, len(wanted))
        start = time.perf_counter()
        try:
            section = maker(subject)
        except EquipotError as error:
            section = Section(title, missing=f"{error}.")
        except (
            Exception
        ) as error:  # one section must not take the others with it; the command's exit code tells
            section = Section(title, missing=f"{type(error).__name__}: {error}", failed=True)
        section.seconds = time.perf_counter() - start
        made.append(section)
    for name in skip:
        made.append(Section(SECTIONS[name][0], missing="left out by --skip."))
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    title = f"Physics of {subject.calculator.model.path.name}"
    return Report(made, page(title, _facts(subject), made, f"equipot {__version__}, {now}"))


def _facts(subject: Subject) -> Grid:
    """What the model is."""
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
