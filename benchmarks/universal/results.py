"""Results that a later run reads."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.command import write_json


def kept(file: Path, made_with: dict[str, Any], compute: Callable[[], Any]) -> Any:
    """Return the values of a file if they were made with the same things; else compute and write them."""
    if file.is_file():
        content = json.loads(file.read_text())
        if content["made_with"] == made_with:
            return content["values"]
    values = compute()
    write_json(file, {"made_with": made_with, "values": values})
    return values
