"""The facts that a layer states about itself, so that no other file lists the layers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

# A function from a parameter to the stack of matrices (n, n_in, n_out) that it holds.
MatrixView = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Cost:
    """The fused multiply-adds of a value, and of its gradients with respect to all that depends on positions."""

    forward: int = 0
    backward: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.forward + other.forward, self.backward + other.backward)

    @property
    def total(self) -> int:
        return self.forward + self.backward


class Layer(nn.Module):
    """A module that holds parameters and states their part and their matrices, also for its submodules.

    `layers_of` refuses a network with a parameter outside of a `Layer`. Tensors with a row for each species need no
    statement: `variants.with_elements` finds them by their shapes.

    Attributes:
        part: the name of the layer's parameters in `init.freeze`.
    """

    part: ClassVar[str]

    def matrices(self) -> dict[str, list[MatrixView]]:
        """Return the parameters that map hidden features to hidden features, by name, as stacks of matrices.

        Muon trains these parameters, AdamW all others.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say which parameters are matrices")


def layers_of(network: nn.Module) -> Iterator[tuple[str, Layer]]:
    """Yield the name and module of each layer; raise TypeError for a parameter outside of all layers."""
    in_layers: set[str] = set()
    for name, module in network.named_modules():
        if isinstance(module, Layer):
            in_layers.update(f"{name}.{parameter}" for parameter, _ in module.named_parameters())
            yield name, module
    outside = [name for name, _ in network.named_parameters() if name not in in_layers]
    if outside:
        raise TypeError(
            f"{', '.join(outside)}: the module must be a Layer, which states its part and its matrices"
        )


def freezable(network: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Return parameters by the names that `init.freeze` accepts: parts, and `layers.0`, `layers.1`, …."""
    parts: dict[str, list[nn.Parameter]] = {}
    for name, layer in layers_of(network):
        numbered = [".".join(name.split(".")[:2])] if name.startswith("layers.") else []
        for part in [layer.part, *numbered]:
            parts.setdefault(part, []).extend(layer.parameters())
    return parts
