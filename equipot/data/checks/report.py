"""What the checks found, and what follows from it."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from equipot.errors import ConfigError, DataError

Level = Literal["ok", "note", "warning", "error"]

# Every finding's name: these are what `accept` takes.
NAMES = {
    "energies": "energies are there",
    "forces": "forces are there",
    "stresses": "stresses are there",
    "unread-keys": "no key that looks like a label was passed over",
    "scf": "the electrons of every frame converged",
    "charge-spin": "frames have one charge and spin",
    "validation-labels": "validation frames have the labels of the training frames",
    "units": "sizes of distances, energies and forces are those of Å and eV",
    "finite": "labels, positions and cells are finite",
    "energy-kind": "what the energies are counted from",
    "energy-per-atom": "energies are those of whole structures",
    "net-force": "forces of a frame sum to zero",
    "force-sign": "forces have the sign that the energies imply",
    "force-unit": "forces have the unit that the energies imply",
    "stress-sign": "stresses have the sign that the energies imply",
    "stress-unit": "stresses have the unit that the energies imply",
    "stress-offset": "stresses are not a pressure away from the slope of the energies (Pulay stress)",
    "duplicates": "no structure comes twice",
    "conflicting-labels": "identical structures have identical labels",
    "coincident-atoms": "no two atoms lie on each other",
    "isolated-atoms": "every atom has neighbours",
    "neighbours": "number of neighbours within the cutoff",
    "periodicity": "periodic directions and cells",
    "energy-outliers": "no energy per atom far from all others",
    "force-outliers": "no force far beyond all others",
}

_STYLE: dict[Level, str] = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "bold red"}


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    name: str  # one of NAMES
    level: Level
    message: str
    frames: tuple[int, ...] = ()  # indices of the frames concerned, where it is not the whole set


@dataclass(frozen=True)
class Report:
    """All findings over a set of frames."""

    findings: list[Finding] = field(default_factory=list)
    n_frames: int = 0

    def of(self, name: str) -> list[Finding]:
        """Findings of one check."""
        return [f for f in self.findings if f.name == name]

    def errors(self, accept: Iterable[str] = ()) -> list[Finding]:
        """Findings that must stop a training, without those accepted by name.

        Raises ConfigError for a name that no check has: a misspelt one would accept nothing.
        """
        accepted = set(accept)
        check_names(accepted)
        return [f for f in self.findings if f.level == "error" and f.name not in accepted]

    def raise_on_errors(self, accept: Iterable[str] = ()) -> None:
        """Raise DataError in one sentence with the first error and the number of others."""
        errors = self.errors(accept)
        if errors:
            others = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise DataError(
                f"{errors[0].name}: {errors[0].message}{others}; `equipot check` shows everything, "
                f"`accept: [{errors[0].name}]` in the data section takes the set as it is"
            )

    def verdict(self, accept: Iterable[str] = ()) -> str:
        """One line: whether the set can be trained on."""
        accept = set(accept)
        errors = self.errors(accept)
        accepted = sum(f.level == "error" for f in self.findings) - len(errors)
        warnings = sum(f.level == "warning" for f in self.findings)
        counts = f"{_count(len(errors), 'error')}, {_count(warnings, 'warning')}"
        if accepted:
            counts += f", {_count(accepted, 'error')} accepted"
        if errors:
            return f"NOT READY: {counts}. Correct the data, or accept by name what is meant to be so."
        return f"READY: {counts}."

    def print(self, console: Console | None = None, accept: Iterable[str] = ()) -> None:
        """A table of the findings, gravest last, and the verdict."""
        console = console or Console()
        accept = set(accept)
        stopping = bool(self.errors(accept))
        table = Table(title="Checks", title_justify="left")
        table.add_column("check", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column("found")
        order: Sequence[Level] = ("ok", "note", "warning", "error")
        for level in order:
            for finding in self.findings:
                if finding.level == level:
                    mark = "accepted" if level == "error" and finding.name in accept else level
                    style = _STYLE["note"] if mark == "accepted" else _STYLE[level]
                    table.add_row(finding.name, f"[{style}]{mark}[/]", escape(finding.message))
        console.print(table)
        style = _STYLE["error"] if stopping else _STYLE["ok"]
        console.print(self.verdict(accept), style=style, markup=False, soft_wrap=True)


def check_names(names: Iterable[str]) -> None:
    """Raise ConfigError for a name that no check has."""
    for name in names:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"checks are {', '.join(NAMES)}"
            raise ConfigError(f"accept: '{name}' is not the name of a check; {hint}")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
