"""Tasks of the benchmark of converted models for SevenNet: its own calculator, and where its checkpoints are."""

import functools

import sevenn
import torch
from sevenn.util import pretrained_name_to_path

from .calculator_tasks import calculator_tasks
from .sevennet_calculator import calculator

VERSIONS = {"sevenn": sevenn.__version__, "torch": torch.__version__}
_calculator = functools.lru_cache(maxsize=1)(calculator)  # one at a time: networks are large
TASKS = {
    **calculator_tasks(lambda request: _calculator(request["model"], request["modality"], request["dtype"])),
    "checkpoint": lambda request: {"path": str(pretrained_name_to_path(request["model"]))},
}
