"""Tasks that answer, print, fail, hang and end, for the tests of workers."""

import os
import time

from benchmarks.peers.job import Job

print("a library prints at import")
VERSIONS = {"example": "1.0"}


def noisy(request):
    print("a library prints")
    os.write(1, b"so does its C code\n")
    return {"threads": os.environ["OMP_NUM_THREADS"], "value": request["value"]}


def failing(request):
    raise ValueError("too large\nand more lines")


TASKS = {
    "noisy": noisy,
    "failing": failing,
    "hanging": lambda request: time.sleep(60),
    "ending": lambda request: os._exit(3),
    "job": lambda request: Job(lambda: time.sleep(0.01), atoms=5),
}
