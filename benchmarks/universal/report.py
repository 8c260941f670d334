"""Tables: each crystal beside published values, mean deviations, and the time of a step."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import mean
from typing import Any

from benchmarks.tables import significant

from .crystals import CRYSTALS, Published
from .models import Model

Values = Mapping[str, Any]
Cells = dict[str, str]
# Key, heading, format.
COLUMNS = (
    ("a", "a (Å)", ".3f"),
    ("bulk_modulus", "B (GPa)", ".1f"),
    ("c11", "C11", ".1f"),
    ("c12", "C12", ".1f"),
    ("c44", "C44", ".1f"),
    ("gamma", "TO(Γ) (THz)", ".2f"),
)
DASH = "–"


def crystal_rows(crystal: str, values: Mapping[str, Values]) -> list[Cells]:
    """Return a row for each model, then a row for each source of published values."""
    rows = [_row(name, own, _imaginary(own)) for name, own in values.items()]
    return rows + [_row(p.name, asdict(p), DASH) for p in CRYSTALS[crystal].published]


def _row(name: str, values: Values, imaginary: str) -> Cells:
    cells = {"": name}
    for key, heading, form in COLUMNS:
        value = values.get(key)
        cells[heading] = DASH if value is None else format(value, form)
    cells["X (THz)"] = ", ".join(f"{f:.2f}" for f in values.get("at_x", ())) or DASH
    cells["imaginary modes"] = imaginary
    return cells


def _imaginary(values: Values) -> str:
    if "error" in values:
        return DASH
    return "yes" if values["imaginary"] else "none"


CONSTANTS = ("c11", "c12", "c44")


def deviations(values: Mapping[str, Mapping[str, Values]]) -> list[Cells]:
    """Return mean relative deviations of each model over the crystals, in percent; "size" is the mean absolute one.

    Lattice parameters and bulk moduli are compared with PBE, lattice parameters also with the static experiment, and
    elastic constants and TO(Γ) with the experiment that has elastic constants. values: by crystal and model.
    """
    pbe_a, pbe_b, static, measured = (
        {crystal: _first(CRYSTALS[crystal].published, start, key) for crystal in values}
        for start, key in (
            ("PBE, Materials", "a"),
            ("PBE, all", "bulk_modulus"),
            ("experiment, 0 K", "a"),
            ("experiment", "c11"),
        )
    )
    rows = []
    for name in dict.fromkeys(name for own in values.values() for name in own):
        found = {crystal: own[name] for crystal, own in values.items() if name in own}
        rows.append(
            {
                "": name,
                "a from PBE, size": _percent(found, pbe_a, ("a",), ".2f", size=True),
                "B from PBE, size": _percent(found, pbe_b, ("bulk_modulus",), ".1f", size=True),
                "a from experiment": _percent(found, static, ("a",), ".2f"),
                "C11, C12, C44 from experiment": _percent(found, measured, CONSTANTS, ".1f"),
                "size": _percent(found, measured, CONSTANTS, ".1f", size=True),
                "TO(Γ) from experiment": _percent(found, measured, ("gamma",), ".1f"),
            }
        )
    return rows


def _first(published: Sequence[Published], start: str, key: str) -> Published | None:
    """Return the first published values that have a key and whose name starts like this."""
    return next((p for p in published if p.name.startswith(start) and getattr(p, key) is not None), None)


def _percent(
    values: Mapping[str, Values],
    references: Mapping[str, Published | None],
    keys: Sequence[str],
    form: str,
    size: bool = False,
) -> str:
    differences = []
    for crystal, own in values.items():
        for key in keys:
            reference = getattr(references[crystal], key, None)
            if reference and own.get(key) is not None:
                difference = 100 * (own[key] / reference - 1)
                differences.append(abs(difference) if size else difference)
    return format(mean(differences), form if size else f"+{form}") if differences else DASH


def time_rows(
    models: Mapping[str, Model], times: Mapping[str, Mapping[str, Values]], neighbours: Mapping[str, Values]
) -> list[Cells]:
    """Return the time of a step of each model in ms, median and minimum, by crystal."""
    rows = []
    for name, model in models.items():
        cells = {
            "": name,
            "cutoff (Å)": f"{model.cutoff:g}",
            "layers": str(model.n_layers),
            "hidden features": model.hidden,
        }
        for crystal, own in times.items():
            t = own.get(name)
            n = neighbours[crystal].get(name)
            cells[f"{crystal} (ms)"] = (
                DASH if t is None else f"{significant(1e3 * t['median'])} ({significant(1e3 * t['minimum'])})"
            )
            cells[f"neighbours, {crystal}"] = DASH if n is None else f"{n:.0f}"
        rows.append(cells)
    return rows


def sentences(crystal: str, values: Mapping[str, Values]) -> list[str]:
    """Return what the table has no room for: errors, imaginary modes, and the sources."""
    lines = []
    for name, own in values.items():
        if "error" in own:
            lines.append(f"{name}, {crystal}: {own['error']}.")
        lines += [f"{name}, {crystal}: {mode}." for mode in own.get("imaginary", ())]
    return lines + [f"{p.name}: {p.source}." for p in CRYSTALS[crystal].published]
