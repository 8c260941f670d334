"""Tables of the speed benchmark: for the terminal, and as Markdown."""

from typing import Any

from rich.table import Table

from benchmarks.tables import markdown_table, rich_table, significant

Row = dict[str, Any]
TITLES = {
    "inference": "energy, forces and virial",
    "training": "training step: energy and force loss, gradient, Adam",
    "scaling": "number of atoms, neighbour search included",
    "threads": "threads",
}
WORDS = ("preset", "network", "nequip mode", "note")


def table(task: str, rows: list[Row]) -> Table:
    """Return one task's table; medians and, in brackets, minima over the rounds."""
    n_atoms = "" if task == "scaling" else f", {rows[0]['n_atoms']} silicon atoms"
    title = f"{TITLES[task]}{n_atoms}\nµs per atom: median (minimum) of the rounds"
    bold = [k for k, row in enumerate(rows) if row.get("best")]
    return rich_table(title, [COLUMNS[task](row) for row in rows], WORDS, bold)


def markdown(rows: list[Row], header: dict[str, Any]) -> str:
    """Return tables for the README: equipot beside the peer's fastest mode, then scaling and threads."""
    parts = [
        f"{header.get('gpu') or header['cpu']}, {header['threads']} threads; {header['versions']}; {header['date']}. "
        "µs per atom, medians; ratio of medians (of minima)."
    ]
    if best := [row for row in rows if row.get("best")]:
        parts.append(markdown_table([_fastest(row) for row in best]))
    for row in rows:
        if row["task"] in ("inference", "training") and row["error"]:
            mode = f"nequip {row['variant']} {row['mode']}"
            parts.append(f"{row['task']} {row['preset']}, {mode}: {row['error']}.")
    for task in ("scaling", "threads"):
        if of_task := [row for row in rows if row["task"] == task]:
            parts.append(markdown_table([COLUMNS[task](row) for row in of_task]))
    return "\n\n".join(parts)


def _fastest(row: Row) -> dict[str, str]:
    return {
        "task": row["task"],
        "preset": row["preset"],
        "network of the peer": row["variant"],
        "equipot": significant(row["equipot_us_per_atom"]),
        "nequip, its fastest mode": f"{significant(row['peer_us_per_atom'])} ({row['mode']})",
        "ratio": f"{_ratio(row['ratio'])} ({_ratio(row['ratio_min'])})",
    }


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
        columns["nequip kB per atom"] = _kilobytes(row.get("peer_bytes_per_atom"))
    return {**columns, "note": row["error"] or ""}


def _scaling(row: Row) -> dict[str, str]:
    on_gpu = row["device"] != "cpu"
    memory = ("atoms per GiB", _atoms_per_gib) if on_gpu else ("kB per atom", _kilobytes)
    return {
        "preset": row["preset"],
        "atoms": str(row["n_atoms"]),
        "equipot": _time(row, "equipot"),
        "search": significant(row.get("equipot_search_us_per_atom")),
        memory[0]: memory[1](row.get("equipot_bytes_per_atom")),
        **({"nequip mode": row["mode"]} if on_gpu else {}),
        "nequip": _time(row, "peer"),
        "nequip search": significant(row.get("peer_search_us_per_atom")),
        f"nequip {memory[0]}": memory[1](row.get("peer_bytes_per_atom")),
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
        "nequip speed-up": _ratio(row.get("peer_speedup")),
        "ratio": _ratio(row["ratio"]),
        "note": row["error"] or "",
    }


def _time(row: Row, who: str) -> str:
    median = row.get(f"{who}_us_per_atom")
    return "–" if median is None else f"{significant(median)} ({significant(row[f'{who}_us_per_atom_min'])})"


def _kilobytes(value: float | None) -> str:
    return significant(None if value is None else value / 1000)


def _atoms_per_gib(bytes_per_atom: float | None) -> str:
    return "–" if not bytes_per_atom else f"{2**30 / bytes_per_atom:,.0f}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


COLUMNS = {"inference": _modes, "training": _modes, "scaling": _scaling, "threads": _threads}
