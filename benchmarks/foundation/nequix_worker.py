"""Tasks of the benchmark of converted models for Nequix: its own calculator, and where its files are."""

import functools
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .calculator_tasks import calculator_tasks
from .nequix_calculator import GraphCalculator, TimedCalculator

VERSIONS = {name: version(name) for name in ("nequix", "jax", "e3nn-jax")}
_results = functools.lru_cache(maxsize=1)(GraphCalculator)
_timed = functools.lru_cache(maxsize=1)(TimedCalculator)


def file_of(model: str) -> str:
    """Return the path of a file, or of a model by the name that Nequix stores it under."""
    path = (
        Path(model)
        if model.endswith(".nqx")
        else Path("~/.cache/nequix/models").expanduser() / f"{model}.nqx"
    )
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}")
    return str(path)


def checkpoint(request: dict[str, Any]) -> dict[str, str]:
    return {"path": file_of(request["model"])}


TASKS = {
    "results": calculator_tasks(lambda request: _results(file_of(request["model"]), request["dtype"]))[
        "results"
    ],
    "steps": calculator_tasks(lambda request: _timed(file_of(request["model"])))["steps"],
    "checkpoint": checkpoint,
}
