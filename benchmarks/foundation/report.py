"""Tables of differences and speed: for the terminal, and as Markdown."""

from collections.abc import Callable
from typing import Any

from rich.table import Table

from benchmarks.tables import markdown_table, rich_table, significant

from .differences import LIMITS

Row = dict[str, Any]
UNITS = "eV/atom, eV/Å, eV/Å³"
TITLES: dict[str, str] = {
    "differences": "largest differences, the package's calculator and the conversion, both float32 and both float64\n"
    "dE per atom, dF, dS of fully periodic structures: " + UNITS,
    "speed": "one step: neighbours, energy, forces, stress; float32; ms, median (minimum) of the turns",
}


def table(task: str, rows: list[Row]) -> Table:
    bold = [k for k, row in enumerate(rows) if row["kind"] in ("all", "216 Si")]
    return rich_table(TITLES[task], [COLUMNS[task](row) for row in rows], ("model", "structures"), bold)


def markdown(task: str, rows: list[Row]) -> str:
    return markdown_table([COLUMNS[task](row) for row in rows])


def sentences(rows: list[Row]) -> list[str]:
    """Describe the limits missed in float32: how far either side is from SevenNet's result in float64."""
    lines = []
    for row in rows:
        if row["float32"]["met"]:
            continue
        ours, theirs = (row[f"{side}_float32_from_float64"] for side in ("equipot", "peer"))
        limits = ", ".join(f"{value:.0e}" for value in LIMITS["float32"])
        lines.append(
            f"{row['model']}, {row['kind']}: beyond {limits} ({UNITS}) in float32. From {row['peer']}'s float64 "
            f"result, equipot's float32 is {_triple(ours)} away, {row['peer']}'s float32 {_triple(theirs)}; "
            f"the largest force is {row['largest_force']:.1f} eV/Å."
        )
    return lines


def _differences(row: Row) -> dict[str, str]:
    cells = {
        "model": row["model"],
        "structures": f"{row['structures']} {row['kind']}",
        "atoms": row["atoms"],
        "largest F": f"{row['largest_force']:.1f}",
    }
    for dtype, short in (("float32", "32"), ("float64", "64")):
        errors = row[dtype]
        cells |= {f"dE {short}": _small(errors["energy"]), f"dF {short}": _small(errors["force"])}
        cells |= {
            f"dS {short}": _small(errors["stress"]),
            f"limits {short}": "met" if errors["met"] else "NOT met",
        }
    for side, name in (("equipot", "equipot"), ("peer", row["peer"])):
        cells[f"dF {name} 32 from 64"] = _small(row[f"{side}_float32_from_float64"]["force"])
    return cells


def _speed(row: Row) -> dict[str, str]:
    return {
        "model": row["model"],
        "structures": row["kind"],
        "atoms": str(row["atoms"]),
        row["peer"]: _time(row, "peer"),
        "equipot": _time(row, "equipot"),
        "ratio": f"{row['ratio']:.1f}",
        "of minima": f"{row['ratio_min']:.1f}",
        "dE": _small(row["energy"]),
        "dF": _small(row["force"]),
        "dS": _small(row["stress"]),
    }


COLUMNS: dict[str, Callable[[Row], dict[str, str]]] = {"differences": _differences, "speed": _speed}


def _time(row: Row, side: str) -> str:
    return f"{significant(1e3 * row[f'{side}_seconds'])} ({significant(1e3 * row[f'{side}_seconds_min'])})"


def _small(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"


def _triple(errors: dict[str, Any]) -> str:
    return ", ".join(_small(errors[name]) for name in ("energy", "force", "stress"))
