"""A worker: `python -m benchmarks.peers MODULE THREADS`, started by `worker.py` in the environment of a package.

MODULE defines VERSIONS, a dictionary of names and version strings, and TASKS, a dictionary of names and functions. A
function takes the request and returns a `Job`, which is stored under the request's `job`, or a dictionary of plain
values. Two tasks are there for all modules: `time` and `memory` of a stored job.

Requests and answers are JSON objects, one per line. The first answer is VERSIONS; a failure is {"error": one line}.
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from .job import Job

Values = dict[str, Any]


def main(module_name: str, threads: int) -> None:
    """Import the module, then answer requests until the input ends."""
    # Libraries print to the standard output; that goes to the standard error, away from the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def send(values: Values) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    torch.set_num_threads(threads)
    jobs: dict[str, Job] = {}
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        send(_failure(error))
        return
    send(module.VERSIONS)
    for line in sys.stdin:
        try:
            send(_answer(module, jobs, json.loads(line)))
        except Exception as error:
            send(_failure(error))


def _answer(module: ModuleType, jobs: dict[str, Job], request: Values) -> Values:
    if request["task"] == "time":
        return {"seconds": jobs[request["job"]].seconds(request["calls"])}
    if request["task"] == "memory":
        return {"bytes": jobs[request["job"]].peak_bytes()}
    task: Callable[[Values], Job | Values] = module.TASKS[request["task"]]
    start = time.perf_counter()
    result = task(request)
    if not isinstance(result, Job):
        return result
    jobs[request["job"]] = result
    sizes = result._asdict()
    del sizes["call"]
    return {**sizes, "prepared_in": time.perf_counter() - start}


def _failure(error: Exception) -> Values:
    traceback.print_exception(error)
    first = next(iter(str(error).strip().splitlines()), "")
    return {"error": f"{type(error).__name__}: {first}"}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
