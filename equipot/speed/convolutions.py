"""The convolutions of a network alone: the compiled kernels on the arguments that a step gives them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from equipot.contract import Inputs
from equipot.network.potential import Potential
from equipot.ops import Convolution, engine

Arguments = tuple[Tensor, ...]


def arguments_of_layers(potential: Potential, inputs: Inputs) -> list[Arguments]:
    """Return each layer's arguments: x, edge vectors, table, inverse cutoff, graph, paths, coupling."""
    kept: list[Arguments] = []

    def keep(module: Any, given: tuple[Any, ...]) -> None:
        *reals, graph = given
        kept.append((*reals, *graph, module.paths, module.coupling))

    found = [module for module in potential.modules() if isinstance(module, Convolution)]
    hooks = [convolution.register_forward_pre_hook(keep) for convolution in found]
    try:
        with torch.no_grad():
            potential(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


def names(layer: int) -> tuple[str, str]:
    """Of a layer's two pieces; layers count from 1."""
    return f"layer {layer} forward", f"layer {layer} backward"


def pieces(layers: list[Arguments]) -> dict[str, Callable[[int], object]]:
    """Forward and backward call of each layer, for the gradients that forces need."""
    found: dict[str, Callable[[int], object]] = {}
    for k, given in enumerate(layers):
        forward, backward = names(k + 1)
        found[forward], found[backward] = _calls(given, input_gradient=k > 0)
    return found


def _calls(given: Arguments, input_gradient: bool) -> tuple[Callable[[int], object], Callable[[int], object]]:
    x, vectors, table, inverse_cutoff, *rest = given

    def convolution() -> engine.Convolution:
        return engine.Convolution(x, vectors, table, inverse_cutoff, rest)

    grad = torch.ones_like(convolution().forward())
    wanted = [input_gradient, True, False]
    return lambda k: convolution().forward(), lambda k: convolution().backward(grad, wanted)
