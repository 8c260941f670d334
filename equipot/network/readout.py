"""The map from scalar features to one number per atom."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from equipot.network.activation import activation_gain, apply
from equipot.network.kinds import Activation
from equipot.network.layer import Cost, Layer, MatrixView
from equipot.network.program import Program


class Readout(Layer):
    """The map from scalars (n_atoms, mul) to (n_atoms,): linear, or with hidden layers.

    It has no bias, so features of zero give zero.

    Attributes:
        width: number of features before the last linear map.
    """

    part = "readout"

    def __init__(
        self, mul: int, hidden: int | Sequence[int] | None = None, activation: Activation = "silu"
    ) -> None:
        super().__init__()
        self.activation, self.gain = activation, activation_gain(activation)
        widths = [] if hidden is None else [hidden] if isinstance(hidden, int) else list(hidden)
        layers = [nn.Linear(a, b, bias=False, dtype=torch.float64) for a, b in pairwise([mul, *widths, 1])]
        for layer in layers:
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
        self.layers = nn.ModuleList(layers)
        self.width = [mul, *widths][-1]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the number of each atom (n_atoms,), and the features before the last linear map (n_atoms, width)."""
        features = x
        for i, layer in enumerate(self.layers):
            if i > 0:
                x = apply(self.activation, x) * self.gain
            features = x
            x = layer(x)
        return x.squeeze(1), features

    @torch.jit.unused
    def write_hidden(self, program: Program, x: int) -> int:
        """Add all but the last linear map to a program; return the value of the features before that."""
        for layer in self.layers[:-1]:
            linear = self._write_linear(program, layer, x)
            x = program.value(program.columns[linear])
            program.add("activate", x=linear, out=x, function=self.activation, gain=self.gain)
        return x

    @torch.jit.unused
    def write_last(self, program: Program, features: int) -> int:
        """Add the last linear map to a program; return its value, of one column."""
        return self._write_linear(program, self.layers[-1], features)

    @torch.jit.unused
    def _write_linear(self, program: Program, layer: nn.Module, x: int) -> int:
        assert isinstance(layer, nn.Linear)
        n_out, n_in = layer.weight.shape
        out = program.value(n_out)
        blocks = program.integers(torch.tensor([[0, 1, n_in, 0, n_out, 0]]))
        weight = program.real(layer.weight.T.reshape(1, -1))
        program.add("linear", x=x, out=out, blocks=blocks, weight=weight, adds=False)
        return out

    @torch.jit.unused
    def matrices(self) -> dict[str, list[MatrixView]]:
        return {}  # its output is one number, not features

    @torch.jit.unused
    def cost(self) -> Cost:
        """Return fused multiply-adds per atom."""
        products = sum(parameter.numel() for parameter in self.parameters())
        return Cost(products, products)
