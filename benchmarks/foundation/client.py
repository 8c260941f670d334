"""The asking side: a process in its own environment, which answers as `peers/serve.py` says."""

import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

BENCHMARKS = Path(__file__).resolve().parents[1]


class SideError(Exception):
    """A side could not do what it was asked; one sentence."""


class Side:
    """`python -m foundation.MODULE THREADS`, as a context that ends it; what it prints is appended to `log`."""

    def __init__(self, python: Path, module: str, threads: int, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.name, self.log = module, log.resolve()
        environment = {
            **os.environ,
            "PYTHONPATH": str(BENCHMARKS),
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
        }
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                # Not resolved: the interpreter of an environment is a link to one outside of it.
                [os.path.abspath(python), "-m", f"foundation.{module}", str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
            )
        try:
            self.versions = self._answer()
        except SideError:
            self.close()
            raise

    def prepare(self, name: str, **request: Any) -> dict[str, Any]:
        """A job under a name; its sizes."""
        return self._ask({"do": "prepare", "name": name, **request})

    def time(self, name: str, calls: int = 1) -> float:
        """Mean seconds of so many calls of a job."""
        return float(self._ask({"do": "time", "name": name, "calls": calls})["seconds"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SideError(self._end()) from None
        answer = self._answer()
        if "error" in answer:
            raise SideError(f"{self.name}: {answer['error']}; see {self.log}")
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SideError(self._end())
        return json.loads(line)

    def _end(self) -> str:
        return f"{self.name} ended with code {self._process.wait()}; see {self.log}"

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Side":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
