"""Activations scaled to unit second moment for standard normal input, as e3nn's `normalize2mom`."""

from functools import lru_cache

import torch
from torch import Tensor

from equipot.network.kinds import RadialActivation


def apply(name: str, x: Tensor) -> Tensor:
    """Return the activation without its gain; ssp is the softplus shifted to pass through zero."""
    if name == "silu":
        return torch.nn.functional.silu(x)
    if name == "ssp":
        return (
            torch.nn.functional.softplus(x) - 0.6931471805599453
        )  # ln 2; TorchScript reads no constant from outside
    if name == "tanh":
        return torch.tanh(x)
    if name == "relu":
        return torch.relu(x)
    if name == "gelu":
        return torch.nn.functional.gelu(x)
    return x * torch.tanh(torch.nn.functional.softplus(x))  # mish


@lru_cache
def activation_gain(name: str) -> float:
    """Return the factor that makes the second moment of the activation one."""
    from e3nn.math import (
        normalize2mom,
    )  # slow to import (more than a second), and models from files do not need it

    return float(normalize2mom(lambda x: apply(name, x)).cst)


def jet(name: RadialActivation, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the activation without its gain, its slope and its curvature."""
    if name == "tanh":
        t = torch.tanh(v)
        return t, 1 - t * t, -2 * t * (1 - t * t)
    s = torch.sigmoid(v)
    if name == "ssp":
        return apply(name, v), s, s * (1 - s)
    return v * s, s * (1 + v * (1 - s)), s * (1 - s) * (2 + v * (1 - 2 * s))
