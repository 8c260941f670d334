"""Tables of what was measured: for the terminal, and as Markdown."""

from typing import Any

from rich.markup import escape
from rich.table import Table

Row = dict[str, Any]
TITLES = {
    "inference": "energy, forces and virial",
    "training": "training step: energy and force loss, gradient, Adam",
    "scaling": "number of atoms, neighbour search included",
    "threads": "threads",
}
WORDS = ("preset", "network", "nequip mode", "note")


def table(task: str, rows: list[Row]) -> Table:
    """One task's rows; median and, in brackets, minimum over the rounds."""
    n_atoms = "" if task == "scaling" else f", {rows[0]['n_atoms']} silicon atoms"
    title = f"{TITLES[task]}{n_atoms}\nµs per atom: median (minimum) of the rounds"
    result = Table(title=title, title_justify="left")
    columns = {"inference": _modes, "training": _modes, "scaling": _scaling, "threads": _threads}[task]
    for heading in columns(rows[0]):
        result.add_column(heading, justify="left" if heading in WORDS else "right")
    for row in rows:
        cells = [escape(c) for c in columns(row).values()]
        result.add_row(*cells, style="bold" if row.get("best") else "")
    return result


def _modes(row: Row) -> dict[str, str]:
    columns = {
        "preset": row["preset"],
        "network": row["variant"],
        "nequip mode": row["mode"],
        "parameters": f"{row.get('peer_parameters') or '–'} / {row['equipot_parameters']}",
        "equipot": _time(row, "equipot"),
        "nequip": _time(row, "peer"),
        "ratio": _ratio(row["ratio"]),
        "of minima": _ratio(row["ratio_min"]),
    }
    if row["device"] != "cpu":
        columns["kB per atom"] = _kilobytes(row.get("equipot_bytes_per_atom"))
        columns["its kB per atom"] = _kilobytes(row.get("peer_bytes_per_atom"))
    return {**columns, "note": row["error"] or ""}


def _scaling(row: Row) -> dict[str, str]:
    on_gpu = row["device"] != "cpu"
    memory = ("atoms per GiB", _atoms_per_gib) if on_gpu else ("kB per atom", _kilobytes)
    return {
        "preset": row["preset"],
        "atoms": str(row["n_atoms"]),
        "equipot": _time(row, "equipot"),
        "of it search": _number(row.get("equipot_search_us_per_atom")),
        memory[0]: memory[1](row.get("equipot_bytes_per_atom")),
        **({"nequip mode": row["mode"]} if on_gpu else {}),
        "nequip": _time(row, "peer"),
        "its search": _number(row.get("peer_search_us_per_atom")),
        f"its {memory[0]}": memory[1](row.get("peer_bytes_per_atom")),
        "ratio": _ratio(row["ratio"]),
        "note": row["error"] or "",
    }


def _threads(row: Row) -> dict[str, str]:
    return {
        "preset": row["preset"],
        "threads": str(row["threads"]),
        "equipot": _time(row, "equipot"),
        "speed-up": _ratio(row["equipot_speedup"]),
        "nequip": _time(row, "peer"),
        "its speed-up": _ratio(row.get("peer_speedup")),
        "ratio": _ratio(row["ratio"]),
        "note": row["error"] or "",
    }


def _time(row: Row, who: str) -> str:
    median = row.get(f"{who}_us_per_atom")
    return "–" if median is None else f"{_number(median)} ({_number(row[f'{who}_us_per_atom_min'])})"


def _number(value: float | None) -> str:
    """Three digits, all of them before the point where there are more."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _kilobytes(value: float | None) -> str:
    return "–" if value is None else _number(value / 1000)


def _atoms_per_gib(bytes_per_atom: float | None) -> str:
    return "–" if not bytes_per_atom else f"{2**30 / bytes_per_atom:,.0f}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def markdown(rows: list[Row], header: dict[str, Any]) -> str:
    """For the README: equipot beside the peer's fastest mode, per task, preset and network."""
    lines = [
        f"{header.get('gpu') or header['cpu']}, {header['threads']} threads; {header['versions']}; {header['date']}. "
        "µs per atom, medians; ratio of medians (of minima).",
        "",
        "| task | preset | network of the peer | equipot | nequip, its fastest mode | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.get("best"):
            lines.append(
                f"| {row['task']} | {row['preset']} | {row['variant']} | {_number(row['equipot_us_per_atom'])} "
                f"| {_number(row['peer_us_per_atom'])} ({row['mode']}) "
                f"| {_ratio(row['ratio'])} ({_ratio(row['ratio_min'])}) |"
            )
    for row in rows:
        if row["task"] in ("inference", "training") and row["error"]:
            lines += [
                "",
                f"{row['task']} {row['preset']}, nequip {row['variant']} {row['mode']}: {row['error']}.",
            ]
    for task in ("scaling", "threads"):
        some = [r for r in rows if r["task"] == task]
        if some:
            columns = {"scaling": _scaling, "threads": _threads}[task]
            headings = list(columns(some[0]))
            lines += ["", "| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
            lines += ["| " + " | ".join(columns(r).values()) + " |" for r in some]
    return "\n".join(lines)
