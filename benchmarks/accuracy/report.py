"""Tables of test errors beside published ones."""

from typing import Any

from rich.table import Table

from benchmarks.tables import markdown_table, rich_table

from .published import PUBLISHED, Pair

Result = dict[str, Any]


def markdown(result: Result) -> str:
    return "\n".join([f"### {_title(result)}", "", markdown_table(_rows(result)), "", *_notes(result)]) + "\n"


def table(result: Result) -> Table:
    rows = _rows(result)
    own = [k for k, row in enumerate(rows) if row["potential"] == "equipot"]
    words = ("test group", "potential")
    return rich_table(_title(result), rows, words, own, caption="\n".join(_notes(result)))


def _rows(result: Result) -> list[dict[str, str]]:
    """Return the cells, in each test group equipot's before the published."""
    unit = "meV" if result["energy"] == "structure" else "meV/atom"
    headings = ("test group", "potential", f"energy ({unit})", "forces (meV/Å)", "stress (meV/Å³)")
    rows = []
    for group, own in result["errors"].items():
        rows.append((group, "equipot", *map(_cell, own)))
        others: dict[str, Pair] = PUBLISHED[result["set"]].errors.get(group, {})
        rows.extend((group, name, *map(_cell, pair), "") for name, pair in others.items())
    return [dict(zip(headings, row)) for row in rows]


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 10 else f"{value:.1f}"


def _title(result: Result) -> str:
    return f"{result['title']}: test {result['metric'].upper()}"


def _notes(result: Result) -> list[str]:
    frames = result["frames"] or {}
    device = result.get("device", "cpu")
    where = result["machine"] + (f" and {device}" if device.startswith("cuda") else "")
    lines = [
        f"{result['minutes']:g} minutes of training, {result['cpu_minutes']:g} processor minutes on "
        f"{result['threads']} thread{'s' if result['threads'] > 1 else ''} ({where}), seed {result['seed']}, "
        f"{result['weights']} weights, {frames.get('train', '?')} frames and {frames.get('validation', '?')} for "
        f"validation; best after {result['steps']} steps and {result['seconds_to_best'] / 60:.1f} minutes; "
        f"equipot {result['equipot']}, {result['date']}.",
        f"Published: {PUBLISHED[result['set']].source}.",
    ]
    return [*lines, result["remark"]] if result["remark"] else lines
