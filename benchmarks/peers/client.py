"""The asking side: a worker process in its own environment, with one job prepared in it."""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class WorkerError(Exception):
    """A worker could not do what it was asked; one sentence."""


class Worker:
    """A process that answers requests (`serve.py`); a context that ends it.

    Parameters
    ----------
    python : interpreter of the environment
    module : of this package, without the package's name
    threads : for OpenMP and torch alike
    log : file to which everything the process prints is appended
    """

    def __init__(self, python: Path, module: str, threads: int, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log.resolve()
        self._unread = b""
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "TORCHINDUCTOR_CACHE_DIR": str(log.parent.resolve() / "inductor"),
        }
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                # Not resolved: the interpreter of an environment is a link to one outside of it.
                [os.path.abspath(python), "-m", f"peers.{module}", str(threads)],
                cwd=log.parent,  # where nequip leaves what it writes when a compilation fails
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,  # so that `close` reaches the compilers it has started
            )
        try:
            self.versions = self._read(300.0)
        except WorkerError:
            self.close()
            raise

    def ask(self, request: dict[str, Any], limit: float = 600.0) -> dict[str, Any]:
        """The answer to a request; raises WorkerError when it fails or takes longer than `limit` seconds."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._end()) from None
        answer = self._read(limit)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _read(self, limit: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + limit
        while b"\n" not in self._unread:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.close()
                raise WorkerError(f"took longer than {limit / 60:.3g} minutes")
            piece = os.read(descriptor, 65536)
            if not piece:
                raise WorkerError(self._end())
            self._unread += piece
        line, self._unread = self._unread.split(b"\n", 1)
        return json.loads(line)

    def _end(self) -> str:
        code = self._process.wait()
        if code == -9:
            return "was killed, most likely for want of memory"
        return f"ended with code {code}; see {self.log}"

    def close(self) -> None:
        """End the process and all that it has started."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
