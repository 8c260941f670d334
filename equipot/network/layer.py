"""What a layer says about itself, so that no other file has to list layers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

# From a parameter to the stack of matrices (n, n_in, n_out) that it holds.
MatrixView = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Cost:
    """Fused multiply-adds of the value, and of its gradients with respect to whatever depends on positions."""

    forward: int = 0
    backward: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.forward + other.forward, self.backward + other.backward)

    @property
    def total(self) -> int:
        return self.forward + self.backward


class Layer(nn.Module):
    """A module with parameters of its own, or with submodules that have none of these facts.

    `layers_of` refuses a network with a parameter outside of such a layer. Tensors with a row for each species need no
    statement: `variants.with_elements` finds them by their shapes.

    Attributes:
        part: the name under which `init.freeze` knows the layer's parameters.
    """

    part: ClassVar[str]

    def matrices(self) -> dict[str, list[MatrixView]]:
        """Return the parameters that map hidden features to hidden features, by name, as stacks of matrices.

        Muon takes these; all other parameters go to AdamW.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say which parameters are matrices")


def layers_of(network: nn.Module) -> Iterator[tuple[str, Layer]]:
    """Yield all layers with parameters and their names; raises TypeError for a parameter that no layer speaks for."""
    spoken_for: set[str] = set()
    for name, module in network.named_modules():
        if isinstance(module, Layer):
            spoken_for.update(f"{name}.{parameter}" for parameter, _ in module.named_parameters())
            yield name, module
    silent = [name for name, _ in network.named_parameters() if name not in spoken_for]
    if silent:
        raise TypeError(
            f"{', '.join(silent)}: the module must be a Layer, which states its part and its matrices"
        )


def freezable(network: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Return the parameters by the names that `init.freeze` accepts: kinds of layers, and `layers.0`, `layers.1`, …."""
    parts: dict[str, list[nn.Parameter]] = {}
    for name, layer in layers_of(network):
        numbered = [".".join(name.split(".")[:2])] if name.startswith("layers.") else []
        for part in [layer.part, *numbered]:
            parts.setdefault(part, []).extend(layer.parameters())
    return parts
