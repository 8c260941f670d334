"""One package in the speed benchmark: a worker with one job, and its entries in the rows."""

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.worker import CALL_LIMIT, Worker, WorkerError
from benchmarks.timing import Times

Row = dict[str, Any]


class Side:
    """A worker of one package with one job; a context that ends it. Raises WorkerError when the job fails.

    options: of the command line, and `show`, which prints what is being done
    """

    def __init__(self, options: argparse.Namespace, package: str, threads: int, request: Row) -> None:
        python = Path(sys.executable) if package == "equipot" else options.nequip_python
        if python is None:
            raise WorkerError(package, "not measured: --nequip-python is not given")
        options.show(f"{package}: preparing {describe(request)}")
        self.package = package
        log = options.work / f"{package}.log"
        self.worker = Worker(python, f"benchmarks.speed.{package}_worker", threads, log)
        self._common = {"work": str(options.work.resolve()), "device": options.device}
        try:
            self.sizes = self.prepare(request, 60 * options.compile_minutes)
        except WorkerError:
            self.worker.close()
            raise

    def prepare(self, request: Row, limit: float = CALL_LIMIT, job: str = "job") -> Row:
        """Prepare a job and return its sizes."""
        return self.worker.ask(limit=limit, job=job, **self._common, **request)

    def entries(self, times: Times) -> Row:
        """Return this side's entries of a row; those of a peer are named `peer_…`."""
        who = "equipot" if self.package == "equipot" else "peer"
        scale = 1e6 / self.sizes["atoms"]
        return {
            f"{who}_us_per_atom": scale * times.median,
            f"{who}_us_per_atom_min": scale * times.minimum,
            f"{who}_rounds": times.rounds,
            f"{who}_parameters": self.sizes["parameters"],
        }

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *exception: object) -> None:
        self.worker.close()


def describe(request: Row) -> str:
    words = [request["task"], request["preset"], request.get("mode", ""), request.get("variant", "")]
    return " ".join(w for w in words if w)


def ratios(own: Times, peer: Times) -> Row:
    return {"ratio": peer.median / own.median, "ratio_min": peer.minimum / own.minimum}
