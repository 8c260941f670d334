"""Starting a worker in another Python environment, sending it tasks and reading its answers."""

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

from equipot.errors import EquipotError

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT = 300.0  # s
CALL_LIMIT = 3600.0  # s


class WorkerError(EquipotError):
    """A worker failed, ended or took too long; `reason` leaves out the worker's name and its log."""

    def __init__(self, worker: str, reason: str, log: Path | None = None) -> None:
        super().__init__(f"{worker}: {reason}" + (f"; see {log}" if log else ""))
        self.reason = reason


class Worker:
    """A process that carries out the tasks of a module (see `__main__.py`); a context that ends it.

    Parameters
    ----------
    python : interpreter of the environment
    module : module of tasks, for example benchmarks.speed.nequip_worker
    threads : for OpenMP and torch
    log : file to which the process's output is appended; the process runs in its folder

    Raises WorkerError when the process or the module cannot be started, as all methods do when it fails.
    """

    def __init__(self, python: Path, module: str, threads: int, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.name, self.log = module.rpartition(".")[2].removesuffix("_worker"), log.resolve()
        self._unread = b""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "TORCHINDUCTOR_CACHE_DIR": str(self.log.parent / "inductor"),
        }
        with log.open("ab") as output:
            try:
                self._process = subprocess.Popen(
                    # Not resolved: the interpreter of an environment is a link to one outside of it.
                    [os.path.abspath(python), "-m", "benchmarks.peers", module, str(threads)],
                    cwd=log.parent,  # nequip leaves files there when a compilation fails
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=output,
                    env=environment,
                    start_new_session=True,  # so that `close` also ends the compilers it started
                )
            except OSError as error:
                raise self._error(f"{python} cannot be started: {error.strerror}") from None
        try:
            self.versions = self._read(START_LIMIT)
        except WorkerError:
            self.close()
            raise

    def ask(self, task: str, limit: float = 600.0, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a task; `limit` is in seconds, and a worker that exceeds it is ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"task": task, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._error(self._ending()) from None
        return self._read(limit)

    def time(self, calls: int, job: str = "job") -> float:
        """Return the mean seconds of a job's calls."""
        return self.ask("time", CALL_LIMIT, job=job, calls=calls)["seconds"]

    def memory(self, job: str = "job") -> int:
        """Return the bytes by which memory grows in one call, at its peak."""
        return self.ask("memory", CALL_LIMIT, job=job)["bytes"]

    def _read(self, limit: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + limit
        while b"\n" not in self._unread:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.close()
                raise self._error(f"took longer than {limit / 60:.3g} minutes")
            piece = os.read(descriptor, 65536)
            if not piece:
                raise self._error(self._ending())
            self._unread += piece
        line, self._unread = self._unread.split(b"\n", 1)
        answer = json.loads(line)
        if "error" in answer:
            raise self._error(answer["error"])
        return answer

    def _ending(self) -> str:
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return "was killed, most likely because memory ran out"
        return f"ended with code {code}"

    def _error(self, reason: str) -> WorkerError:
        return WorkerError(self.name, reason, self.log)

    def close(self) -> None:
        """End the process and all processes that it started."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
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
