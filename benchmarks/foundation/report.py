"""Tables of differences and speed: for the terminal, and as Markdown."""

from collections.abc import Callable
from typing import Any

from rich.table import Table

from foundation.differences import LIMITS

Row = dict[str, Any]
UNITS = "eV/atom, eV/Å, eV/Å³"
TITLES: dict[str, str] = {
    "differences": "largest differences, SevenNet's calculator and the converted model, both float32 and both float64\n"
    "dE per atom, dF, dS of fully periodic structures: " + UNITS,
    "speed": "one step: neighbours, energy, forces, stress; float32; ms, median (minimum) of the turns",
}


def table(task: str, rows: list[Row]) -> Table:
    result = Table(title=TITLES[task], title_justify="left")
    columns = COLUMNS[task]
    for heading in columns(rows[0]):
        result.add_column(heading, justify="left" if heading in ("model", "structures") else "right")
    for row in rows:
        result.add_row(*columns(row).values(), style="bold" if row["kind"] in ("all", "216 Si") else "")
    return result


def markdown(task: str, rows: list[Row]) -> str:
    headings = list(COLUMNS[task](rows[0]))
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join([*lines, *("| " + " | ".join(COLUMNS[task](row).values()) + " |" for row in rows)])


def sentences(rows: list[Row]) -> list[str]:
    """What was missed in float32, and by whom: how far either side is from SevenNet's result in float64."""
    found = []
    for row in rows:
        if row["float32"]["met"]:
            continue
        ours, theirs = (row[f"{side}_float32_from_float64"] for side in ("equipot", "sevennet"))
        limits = ", ".join(f"{value:.0e}" for value in LIMITS["float32"])
        found.append(
            f"{row['model']}, {row['kind']}: beyond {limits} ({UNITS}) in float32. From SevenNet's float64 result, "
            f"equipot's float32 is {_triple(ours)} away, SevenNet's float32 {_triple(theirs)}; "
            f"the largest force is {row['largest_force']:.1f} eV/Å."
        )
    return found


def _differences(row: Row) -> dict[str, str]:
    cells = {
        "model": row["model"],
        "structures": f"{row['structures']} {row['kind']}",
        "atoms": row["atoms"],
        "largest F": f"{row['largest_force']:.1f}",
    }
    for dtype, short in (("float32", "32"), ("float64", "64")):
        found = row[dtype]
        cells |= {f"dE {short}": _small(found["energy"]), f"dF {short}": _small(found["force"])}
        cells |= {
            f"dS {short}": _small(found["stress"]),
            f"limits {short}": "met" if found["met"] else "NOT met",
        }
    for side, name in (("equipot", "equipot"), ("sevennet", "SevenNet")):
        cells[f"dF {name} 32 from 64"] = _small(row[f"{side}_float32_from_float64"]["force"])
    return cells


def _speed(row: Row) -> dict[str, str]:
    return {
        "model": row["model"],
        "structures": row["kind"],
        "atoms": str(row["atoms"]),
        "SevenNet": _time(row, "sevennet"),
        "equipot": _time(row, "equipot"),
        "ratio": f"{row['ratio']:.1f}",
        "of minima": f"{row['ratio_min']:.1f}",
        "dE": _small(row["energy"]),
        "dF": _small(row["force"]),
        "dS": _small(row["stress"]),
    }


COLUMNS: dict[str, Callable[[Row], dict[str, str]]] = {"differences": _differences, "speed": _speed}


def _time(row: Row, side: str) -> str:
    return f"{_digits(1e3 * row[f'{side}_seconds'])} ({_digits(1e3 * row[f'{side}_seconds_min'])})"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _small(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"


def _triple(found: dict[str, Any]) -> str:
    return ", ".join(_small(found[name]) for name in ("energy", "force", "stress"))
