"""The findings of the checks, and the verdict on a set."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from equipot.errors import ConfigError, DataError

Level = Literal["ok", "note", "warning", "error"]

# The names of the checks, which `accept` takes, with the condition that each one checks.
NAMES = {
    "energies": "frames have energies",
    "forces": "frames have forces",
    "stresses": "frames have stresses",
    "unread-keys": "all keys that look like labels were read",
    "scf": "the electronic steps of every frame converged",
    "charge-spin": "all frames have the same charge and spin",
    "validation-labels": "validation frames have the labels of the training frames",
    "units": "distances, energies and forces have sizes that are usual in Å and eV",
    "finite": "labels, positions and cells are finite",
    "energy-kind": "energies are total or cohesive energies and fit the reference energies",
    "energy-per-atom": "energies are energies of whole structures",
    "net-force": "the forces of a frame sum to zero",
    "force-sign": "forces have the sign that the energies imply",
    "force-unit": "forces have the unit that the energies imply",
    "stress-sign": "stresses have the sign that the energies imply",
    "stress-unit": "stresses have the unit that the energies imply",
    "stress-offset": "stresses have no offset from the slope of the energies (Pulay stress)",
    "duplicates": "no structure occurs twice",
    "conflicting-labels": "identical structures have identical labels",
    "coincident-atoms": "no two atoms have the same position",
    "isolated-atoms": "every atom has neighbours",
    "neighbours": "the number of neighbours within the cutoff is usual",
    "periodicity": "periodic directions have valid cell vectors",
    "energy-outliers": "no energy per atom is far from all others",
    "force-outliers": "no force is much larger than all others",
}

_STYLE: dict[Level, str] = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "bold red"}


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    name: str  # one of NAMES
    level: Level
    message: str
    frames: tuple[int, ...] = ()  # indices of the frames with the fault; empty if it concerns the whole set
    value: float | None = None  # what the check measured, if it is one number
    certain: bool = False  # the cause of the error is known, so that nobody should accept it
    unverified: str = ""  # what the check could not verify, e.g. "the sign and unit of the forces"


@dataclass(frozen=True)
class Report:
    """All findings for a set of frames."""

    findings: list[Finding] = field(default_factory=list)
    n_frames: int = 0

    def of(self, name: str) -> list[Finding]:
        """Return the findings of one check."""
        return [f for f in self.findings if f.name == name]

    def errors(self, accept: Iterable[str] = ()) -> list[Finding]:
        """Return the findings that must stop a training, without the accepted checks.

        Args:
            accept: names of checks whose errors are accepted.

        Raises:
            ConfigError: a name is not the name of a check.
        """
        accepted = set(accept)
        check_names(accepted)
        return [f for f in self.findings if f.level == "error" and f.name not in accepted]

    def raise_on_errors(self, accept: Iterable[str] = ()) -> None:
        """Raise DataError with the first error and the number of further errors, if there are any."""
        errors = self.errors(accept)
        if errors:
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            hint = f", and `accept: [{errors[0].name}]` in the section `data` accepts this one"
            raise DataError(
                f"{errors[0].name}: {errors[0].message}{more}; `equipot check` shows all findings"
                f"{'' if errors[0].certain else hint}"
            )

    def verdict(self, accept: Iterable[str] = ()) -> str:
        """Return one line that states whether the set is ready for a training."""
        accept = set(accept)
        errors = self.errors(accept)
        accepted = sum(f.level == "error" for f in self.findings) - len(errors)
        warnings = sum(f.level == "warning" for f in self.findings)
        counts = f"{_count(len(errors), 'error')}, {_count(warnings, 'warning')}"
        if accepted:
            counts += f", {_count(accepted, 'error')} accepted"
        if errors:
            hint = "" if all(f.certain for f in errors) else ", or accept intended errors by name"
            return f"NOT READY: {counts}. Correct the data{hint}."
        unverified = " and ".join(dict.fromkeys(f.unverified for f in self.findings if f.unverified))
        return f"READY: {counts}{f', but {unverified} could not be verified' * bool(unverified)}."

    def print(self, console: Console | None = None, accept: Iterable[str] = ()) -> None:
        """Print a table of the findings, errors last, and the verdict."""
        console = console or Console()
        accept = set(accept)
        not_ready = bool(self.errors(accept))
        table = Table(title="Checks", title_justify="left")
        table.add_column("check", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column("finding")
        order: Sequence[Level] = ("ok", "note", "warning", "error")
        for level in order:
            for finding in self.findings:
                if finding.level == level:
                    mark = "accepted" if level == "error" and finding.name in accept else level
                    style = _STYLE["note"] if mark == "accepted" else _STYLE[level]
                    table.add_row(finding.name, f"[{style}]{mark}[/]", escape(finding.message))
        console.print(table)
        style = _STYLE["error"] if not_ready else _STYLE["ok"]
        console.print(self.verdict(accept), style=style, markup=False, soft_wrap=True)


def check_names(names: Iterable[str]) -> None:
    """Raise ConfigError if one of the names is not the name of a check."""
    for name in names:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"the checks are {', '.join(NAMES)}"
            raise ConfigError(f"accept: '{name}' is not the name of a check; {hint}")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
