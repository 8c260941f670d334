"""SevenNet's side, run by a Python that has sevenn: its own calculator. Started with the number of threads."""

import functools
from typing import Any

import sevenn
import torch
from peers.serve import Job, serve
from sevenn.util import pretrained_name_to_path

from foundation.jobs import prepare
from foundation.sevennet_calculator import calculator

MODELS = ("7net-0", "7net-l3i5", "7net-mf-0")


def main() -> None:
    files = {name: pretrained_name_to_path(name) for name in MODELS}
    serve(_prepare, {"sevenn": sevenn.__version__, "torch": torch.__version__, **files})


# One at a time: networks are large.
_calculator = functools.lru_cache(maxsize=1)(calculator)


def _prepare(request: dict[str, Any]) -> Job:
    return prepare(request, _calculator(request["model"], request["modality"], request["dtype"]))


if __name__ == "__main__":
    main()
