"""Errors on the test set as they are published for it, and the tables of them."""

import datetime
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from published import PUBLISHED, Pair, Published
from rich.table import Table
from sets import Set

from equipot.model_file import load_model
from equipot.model_file.read import read_metadata
from equipot.structures.labels import LabelKeys
from equipot.structures.reading import read_frames


def errors(model: Path, test: str, metric: str, per: str) -> dict[str, tuple[float, float, float | None]]:
    """Energy (meV, per atom or per structure), forces (meV/Å) and stress (meV/Å³) by group, "all" first."""
    from equipot.evaluation.errors import FramePrediction, differences
    from equipot.evaluation.evaluation import evaluate

    frames = read_frames([test], LabelKeys())
    found = evaluate(load_model(model), frames)
    groups = sorted({f.config_type for f in frames if f.config_type})
    table = {}
    for group in ["all", *(groups if len(groups) > 1 else [])]:
        chosen = [(f, p) for f, p in zip(frames, found.predictions) if group in ("all", f.config_type)]

        def over(label: str, chosen: list[tuple[Any, FramePrediction]] = chosen) -> float | None:
            parts = [
                differences(label, f, p)
                * (len(f) if label == "energy_per_atom" and per == "structure" else 1)
                for f, p in chosen
            ]
            return measure(np.concatenate([np.ravel(x) for x in parts]), metric)

        table[group] = over("energy_per_atom"), over("forces"), over("stress")
    return table


def measure(differences: np.ndarray, metric: str) -> float | None:
    """Mean absolute or root mean square, in thousandths; None of nothing."""
    if differences.size == 0:
        return None
    mean = np.abs(differences).mean() if metric == "mae" else np.sqrt(np.square(differences).mean())
    return 1000 * float(mean)


def result(name: str, which: Set, model: Path, test: str, cost: dict[str, float], **more: Any) -> dict:
    """All that a table needs to say, as plain values."""
    published = PUBLISHED[name]
    metadata = read_metadata(model)
    return {
        "set": name,
        "title": which.title,
        "metric": published.metric,
        "energy": published.energy,
        "errors": errors(model, test, published.metric, published.energy),
        **{k: round(v, 2) for k, v in cost.items()},
        **more,
        "steps": metadata.training.get("steps"),
        "seconds_to_best": metadata.training.get("seconds"),
        "frames": metadata.training.get("frames"),
        "equipot": version("equipot"),
        "machine": processor(),
        "device": metadata.training.get("device", "unknown"),
        "date": datetime.date.today().isoformat(),
        "remark": which.remark,
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 10 else f"{value:.1f}"


def rows(found: dict) -> list[list[str]]:
    """[test group, potential, energy, forces, stress] with equipot's row of each group before the published."""
    published: Published = PUBLISHED[found["set"]]
    table = []
    for group, ours in found["errors"].items():
        table.append([group, "equipot", *map(_cell, ours)])
        others: dict[str, Pair] = published.errors.get(group, {})
        table.extend([group, name, *map(_cell, pair), ""] for name, pair in others.items())
    return table


def heads(found: dict) -> list[str]:
    unit = "meV" if found["energy"] == "structure" else "meV/atom"
    return ["test group", "potential", f"energy ({unit})", "forces (meV/Å)", "stress (meV/Å³)"]


def title(found: dict) -> str:
    return f"{found['title']}: test {found['metric'].upper()}"


def notes(found: dict) -> list[str]:
    """What a reader of the table must know."""
    f = found["frames"] or {}
    device = found.get("device", "cpu")
    where = found["machine"] + (f" and {device}" if device.startswith("cuda") else "")
    lines = [
        f"{found['minutes']:g} minutes of training, {found['cpu_minutes']:g} processor minutes on "
        f"{found['threads']} thread{'s' if found['threads'] > 1 else ''} ({where}), seed {found['seed']}, "
        f"{found['weights']} weights, {f.get('train', '?')} frames and {f.get('validation', '?')} for validation; "
        f"best after {found['steps']} steps and {found['seconds_to_best'] / 60:.1f} minutes; "
        f"equipot {found['equipot']}, {found['date']}.",
        f"Published: {PUBLISHED[found['set']].source}.",
    ]
    return [*lines, found["remark"]] if found["remark"] else lines


def markdown(found: dict) -> str:
    head = heads(found)
    lines = [f"### {title(found)}", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(found)]
    return "\n".join([*lines, "", *notes(found)]) + "\n"


def rich_table(found: dict) -> Table:
    table = Table(title=title(found), caption="\n".join(notes(found)), caption_justify="left")
    for k, name in enumerate(heads(found)):
        table.add_column(name, justify="left" if k < 2 else "right")
    for row in rows(found):
        table.add_row(*row, style="bold" if row[1] == "equipot" else None)
    return table
