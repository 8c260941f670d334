"""A training as a user starts it, in a process of its own, with the processor time it took."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.command import BenchmarkError

COST = "cost.json"  # of the trainings in a folder, interrupted ones included


def train(config: dict[str, Any], overrides: list[str], resume: bool) -> dict[str, float]:
    """Train, and return minutes of wall clock and of processor, of all resumptions in that folder together.

    Raises BenchmarkError when the training, which prints why, fails.
    """
    output = Path(config["output"])
    command = training_command(config)
    before = _read(output / COST) if resume else {"minutes": 0.0, "cpu_minutes": 0.0}
    process = subprocess.Popen([*command, *overrides, "--resume" if resume else "--overwrite"])
    cost = before
    for spent in costs(process):
        cost = {name: before[name] + spent[name] for name in before}
        # Written while it runs: this process may be killed together with the training.
        (output / COST).write_text(json.dumps(cost) + "\n")
    if process.returncode:
        raise BenchmarkError(f"the training in {output} ended with code {process.returncode}")
    return cost


def costs(process: subprocess.Popen) -> Iterator[dict[str, float]]:
    """Yield minutes and cpu_minutes of a process every few seconds, until it has ended."""
    start, spent = time.monotonic(), 0.0
    try:
        while process.returncode is None:
            spent = max(spent, processor_seconds(process.pid))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=2)
            yield {"minutes": (time.monotonic() - start) / 60, "cpu_minutes": spent / 60}
    finally:
        process.wait()


def training_command(config: dict[str, Any]) -> list[str]:
    """Write the config into its output folder, and return the command that trains."""
    path = Path(config["output"]) / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return [sys.executable, "-m", "equipot.cli.main", "train", str(path)]


def processor_seconds(pid: int) -> float:
    """Return the user and system time of a running process on Linux; 0 where it is not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _read(path: Path) -> dict[str, float]:
    return json.loads(path.read_text()) if path.exists() else {"minutes": 0.0, "cpu_minutes": 0.0}
