"""Runs that have to stop: in time, with an exit code other than 0, and with one sentence."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.lammps.running import BIN

# What a run may take to stop; busy machines may need more.
SECONDS = float(os.environ.get("EQUIPOT_FAULT_SECONDS", "40"))
TRACES = re.compile(r"Traceback|terminate called|Exception raised from|frame #\d|INTERNAL ASSERT")


def started(
    script: str,
    folder: Path,
    ranks: int,
    program: Sequence[str | Path] = (BIN / "lmp",),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen:
    (folder / "in.fault").write_text(script)
    return subprocess.Popen(
        [BIN / "mpiexec", "-n", str(ranks), *program, "-in", "in.fault", "-log", "none"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def ended(process: subprocess.Popen) -> str:
    """The output of a run that has to end by itself."""
    try:
        output = "".join(process.communicate(timeout=SECONDS))
    except subprocess.TimeoutExpired:
        process.terminate()  # mpiexec then takes its ranks along
        output = "".join(process.communicate(timeout=20))
        pytest.fail(f"not ended after {SECONDS} s; it said:\n{output[-3000:]}")
    assert process.returncode != 0, f"accepted:\n{output[-2000:]}"
    return output


def the_sentence(output: str) -> str:
    """The only one, however many ranks print it."""
    assert not TRACES.search(output), output[-4000:]
    lines = [line for line in output.splitlines() if line.startswith("ERROR")]
    sentences = {re.sub(r"^ERROR( on proc \d+)?: ", "", line) for line in lines}
    assert len(sentences) == 1, output[-4000:]
    return sentences.pop()
