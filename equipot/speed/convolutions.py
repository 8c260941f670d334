"""The convolutions of a network alone: calls of the compiled kernels with the arguments of a step."""

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
    calls: list[Arguments] = []

    def record(module: Any, arguments: tuple[Any, ...]) -> None:
        *reals, graph = arguments
        calls.append((*reals, *graph, module.paths, module.coupling))

    modules = [module for module in potential.modules() if isinstance(module, Convolution)]
    hooks = [module.register_forward_pre_hook(record) for module in modules]
    try:
        with torch.no_grad():
            potential(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def names(layer: int) -> tuple[str, str]:
    """Return the names of the two pieces of a layer; layers count from 1."""
    return f"layer {layer} forward", f"layer {layer} backward"


def pieces(layers: list[Arguments]) -> dict[str, Callable[[int], object]]:
    """Return a forward and a backward call of each layer, with the gradients that forces need."""
    calls: dict[str, Callable[[int], object]] = {}
    for k, arguments in enumerate(layers):
        forward, backward = names(k + 1)
        calls[forward], calls[backward] = _calls(arguments, input_gradient=k > 0)
    return calls


def _calls(
    arguments: Arguments, input_gradient: bool
) -> tuple[Callable[[int], object], Callable[[int], object]]:
    x, vectors, table, inverse_cutoff, *constants = arguments

    def convolution() -> engine.Convolution:
        return engine.Convolution(x, vectors, table, inverse_cutoff, constants)

    grad = torch.ones_like(convolution().forward())
    requests = [input_gradient, True, False]
    return lambda k: convolution().forward(), lambda k: convolution().backward(grad, requests)
