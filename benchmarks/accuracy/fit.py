"""A training as a user starts it, in a process of its own, with the processor time it took."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

COST = "cost.json"  # of the trainings in a folder, interrupted ones included


def fit(config: dict[str, Any], overrides: list[str], resume: bool) -> dict[str, float]:
    """Train, and give minutes of wall clock and of processor, all resumptions in that folder together.

    Raises SystemExit with the training's exit status when it fails.
    """
    output = Path(config["output"])
    output.mkdir(parents=True, exist_ok=True)
    (output / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    before = _read(output / COST) if resume else {"minutes": 0.0, "cpu_minutes": 0.0}
    command = [sys.executable, "-m", "equipot.cli.main", "train", str(output / "config.yaml"), *overrides]
    command.append("--resume" if resume else "--overwrite")
    start = time.monotonic()
    process = subprocess.Popen(command)
    while True:
        spent = processor_seconds(process.pid)
        now = {
            "minutes": before["minutes"] + (time.monotonic() - start) / 60,
            "cpu_minutes": before["cpu_minutes"] + spent / 60,
        }
        if spent:
            # Kept while it runs: this process may be killed together with the training.
            (output / COST).write_text(json.dumps(now) + "\n")
        try:
            code = process.wait(timeout=5)
            break
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:
            process.wait()
            raise
    if code:
        raise SystemExit(code)
    return now


def processor_seconds(pid: int) -> float:
    """User and system time of a running process on Linux; 0 where it cannot be told."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _read(path: Path) -> dict[str, float]:
    return json.loads(path.read_text()) if path.exists() else {"minutes": 0.0, "cpu_minutes": 0.0}
