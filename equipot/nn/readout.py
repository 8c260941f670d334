"""From scalar features to one number per atom."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from equipot.nn.activation import SILU


class Readout(nn.Module):
    """(n_atoms, mul) scalars to (n_atoms,): linear, or one hidden layer; without bias, zero stays zero."""

    def __init__(self, mul: int, hidden: int | None = None) -> None:
        super().__init__()
        self.silu_norm = SILU
        sizes = [mul, 1] if hidden is None else [mul, hidden, 1]
        layers = [nn.Linear(a, b, bias=False, dtype=torch.float64) for a, b in pairwise(sizes)]
        for layer in layers:
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            if i > 0:
                x = torch.nn.functional.silu(x) * self.silu_norm
            x = layer(x)
        return x.squeeze(1)
