"""The radial network, evaluated at the spline knots: its cost does not depend on the number of edges."""

import math
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from equipot.nn.activation import SILU


class RadialNetwork(nn.Module):
    """A bias-free perceptron of the radial basis; gives the table a convolution reads (see ops.table.read_table).

    Values and derivatives with respect to u pass through the layers together, by the chain rule, so the
    splines have the network's exact slopes. Without biases the table is zero at the cutoff, slope included.

    Args:
        basis: (3, n_knots, n_basis) basis functions and derivatives at the knots.
        order: numbers kept per knot and weight: 2 (cubic) or 3 (quintic).
    """

    basis: Tensor

    def __init__(
        self, basis: NDArray[np.float64], width: int, depth: int, n_weights: int, order: int
    ) -> None:
        super().__init__()
        self.order = order
        self.register_buffer("basis", torch.from_numpy(basis[:order].copy()), persistent=False)
        sizes = [basis.shape[2]] + [width] * depth + [n_weights]
        self.layers = nn.ModuleList(_Layer(a, b) for a, b in pairwise(sizes))

    def forward(self) -> Tensor:
        """(n_knots, order, n_weights)."""
        jet = self.basis
        for i, layer in enumerate(self.layers):
            if i > 0:
                jet = self._activate(jet)
            jet = layer(jet)
        return jet.transpose(0, 1).contiguous()

    def _activate(self, jet: Tensor) -> Tensor:
        """SiLU of value, slope and curvature: f, f' v', f'' v'^2 + f' v''."""
        v = jet[0]
        s = torch.sigmoid(v)
        slope = s * (1 + v * (1 - s))
        out = [v * s, slope * jet[1]]
        if self.order == 3:
            curvature = s * (1 - s) * (2 + v * (1 - 2 * s))
            out.append(curvature * jet[1].square() + slope * jet[2])
        return torch.stack(out) * SILU


class _Layer(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_in, n_out, dtype=torch.float64) / math.sqrt(n_in))

    def forward(self, jet: Tensor) -> Tensor:
        return jet @ self.weight


class RadialTable(nn.Module):
    """A radial network's table as a constant: what an exported model holds in its place."""

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table.detach().clone())

    def forward(self) -> Tensor:
        return self.table
