"""The gradients that a backward pass requests from a compiled operator."""

from typing import Any

import torch
from torch import Tensor


def inner_node(tensor: Tensor) -> Tensor:
    """Return a leaf that requires a gradient as a view: torch answers `requested` only for inner nodes."""
    return tensor.view_as(tensor) if tensor.is_leaf and tensor.requires_grad else tensor


def requested(ctx: Any, k: int) -> bool:
    """Return whether the present backward pass requests the gradient of the k-th input.

    `ctx.needs_input_grad` says only whether some backward pass could request it. When only forces are computed, it
    would make the kernels compute the gradients of weights and radial tables too.
    """
    node = ctx.next_functions[k][0]
    return bool(ctx.needs_input_grad[k] and node is not None and torch._C._will_engine_execute_node(node))
