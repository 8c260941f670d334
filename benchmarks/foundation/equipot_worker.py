"""Tasks of the benchmark of converted models for equipot: the ASE calculator of a model file."""

import functools

import torch

import equipot
from equipot.calculators import EquipotCalculator
from equipot.speed.machine import kernels

from .calculator_tasks import calculator_tasks

VERSIONS = {
    "equipot": equipot.__version__,
    "torch": torch.__version__,
    "kernels": kernels(torch.device("cpu")),
}
_calculator = functools.lru_cache(maxsize=1)(EquipotCalculator)
TASKS = calculator_tasks(lambda request: _calculator(request["model"]))
