"""equipot's side: the ASE calculator of a model file. Started with the number of threads."""

import functools
from typing import Any

import torch
from peers.serve import Job, serve

import equipot
from equipot.calculators import EquipotCalculator
from equipot.ops import engine
from foundation.jobs import prepare


def main() -> None:
    kernels = engine.isa() if engine.available() else "none (reference operator)"
    serve(_prepare, {"equipot": equipot.__version__, "torch": torch.__version__, "kernels": kernels})


_calculator = functools.lru_cache(maxsize=1)(EquipotCalculator)


def _prepare(request: dict[str, Any]) -> Job:
    return prepare(request, _calculator(request["model"]))


if __name__ == "__main__":
    main()
