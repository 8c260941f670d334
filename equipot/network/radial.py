"""The radial network, evaluated at the spline knots: its cost does not depend on the number of edges."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from equipot.network.activation import RadialActivation, norm
from equipot.network.activation import jet as activation_jet


class RadialNetwork(nn.Module):
    """A bias-free perceptron of the radial basis; gives the table a convolution reads (see ops.table.read_table).

    Values and derivatives with respect to u pass through the layers together, by the chain rule, so the
    splines have the network's exact slopes. They are kept as the table has them, (n_knots, order, width).
    Without biases the table is zero at the cutoff, slope included.

    Args:
        basis: (3, n_knots, n_basis) basis functions and derivatives at the knots.
        hidden: widths of the hidden layers.
        order: numbers kept per knot and weight: 2 (cubic) or 3 (quintic).
        factor: (3, n_knots, n_weights) what multiplies the network, with derivatives; None: 1.
    """

    basis: Tensor
    factor: Tensor | None

    def __init__(
        self,
        basis: NDArray[np.float64],
        hidden: Sequence[int],
        n_weights: int,
        order: int,
        activation: RadialActivation = "silu",
        factor: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__()
        self.order, self.activation, self.norm = order, activation, norm(activation)
        self.register_buffer("basis", _knot_by_knot(basis, order), persistent=False)
        wide = None if factor is None else _knot_by_knot(factor, order)
        self.register_buffer("factor", wide, persistent=False)
        sizes = [basis.shape[2], *hidden, n_weights]
        self.layers = nn.ModuleList(_Layer(a, b) for a, b in pairwise(sizes))

    def forward(self) -> Tensor:
        """(n_knots, order, n_weights)."""
        jet = self.basis
        for i, layer in enumerate(self.layers):
            if i > 0:
                jet = self._activate(jet)
            jet = layer(jet)
        if self.factor is not None:
            jet = _product(jet, self.factor)
        return jet

    def _activate(self, jet: Tensor) -> Tensor:
        """f(v), f' v' and f'' v'^2 + f' v'' for the activation f."""
        value, slope, curvature = activation_jet(self.activation, jet[:, 0])
        out = [value, slope * jet[:, 1]]
        if self.order == 3:
            out.append(curvature * jet[:, 1].square() + slope * jet[:, 2])
        return torch.stack(out, dim=1) * self.norm


def _knot_by_knot(functions: NDArray[np.float64], order: int) -> Tensor:
    """(3, n_knots, n), values and derivatives, to (n_knots, order, n)."""
    return torch.from_numpy(functions[:order].swapaxes(0, 1).copy())


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Value and derivatives of a product."""
    out = [a[:, 0] * b[:, 0], a[:, 0] * b[:, 1] + a[:, 1] * b[:, 0]]
    if a.shape[1] == 3:
        out.append(a[:, 0] * b[:, 2] + 2 * a[:, 1] * b[:, 1] + a[:, 2] * b[:, 0])
    return torch.stack(out, dim=1)


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
