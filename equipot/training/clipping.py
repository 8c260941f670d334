"""A limit for the gradient that follows the gradients of the training."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

MEMORY = 50  # steps


class GradientClip:
    """Scales a gradient down if it is longer than usual, so that a few frames with large errors do not decide alone.

    A gradient may be `factor` times as long as the geometric mean of the gradients of about the last 50 steps. The
    limit has no unit, so it needs no choice for a set, and it falls with the errors. The optimizers of `MuonAdamW`
    divide by the size of past gradients: without a limit, one frame that is unlike the others decides the direction
    of many steps. Seetharaman et al., IEEE MLSP (2020), limit gradients by a percentile of all earlier ones.

    Args:
        factor: of the mean; 0: no limit.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.steps = 0
        self.log_mean = 0.0

    def __call__(self, gradients: Iterable[Tensor]) -> None:
        """Scale the gradients of a step in place, to a common limit of their total norm."""
        if not self.factor:
            return
        parts = list(gradients)
        norm = float(torch.nn.utils.get_total_norm(parts)) if parts else 0.0
        if not 0 < norm < math.inf:
            return
        if self.steps:
            scale = self.factor * math.exp(self.log_mean) / norm
            if scale < 1:
                torch._foreach_mul_(parts, scale)
        self.steps += 1
        self.log_mean += (math.log(norm) - self.log_mean) / min(self.steps, MEMORY)

    def state(self) -> dict[str, float]:
        return {"steps": self.steps, "log_mean": self.log_mean}

    def load(self, state: dict[str, float]) -> None:
        self.steps, self.log_mean = int(state["steps"]), state["log_mean"]
