"""The radial network. It is evaluated at the spline knots, so its cost does not depend on the number of edges."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from equipot.network.activation import activation_gain
from equipot.network.activation import jet as activation_jet
from equipot.network.basis import knots
from equipot.network.kinds import RadialActivation
from equipot.network.layer import Layer, MatrixView


class RadialNetwork(Layer):
    """A perceptron of the radial basis without biases; its output is the table of a convolution, see `read_table`.

    Values and derivatives with respect to u pass through the layers together, by the chain rule, so the splines have
    the network's exact slopes. Their layout is that of the table, (n_knots, order, width). As the network has no
    biases, value and slope of the table are zero at the cutoff.

    Args:
        basis: (3, n_knots, n_basis) basis functions and derivatives at the knots.
        hidden: widths of the hidden layers.
        columns: columns of the table that belong to each path of the convolution.
        order: numbers per knot and weight: 2 (cubic) or 3 (quintic).
        doubled_knot: a knot whose row comes twice, see `ops.table.read_table`; 0: none.
        activation: the activation between the layers.
        factor: (3, n_knots, n_weights) a factor of the network's output, with its derivatives; None: 1.
    """

    part = "radial"
    basis: Tensor
    knots: Tensor
    factor: Tensor | None

    def __init__(
        self,
        basis: NDArray[np.float64],
        hidden: Sequence[int],
        columns: Sequence[slice],
        order: int,
        doubled_knot: int = 0,
        activation: RadialActivation = "silu",
        factor: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__()
        self.order, self.activation, self.gain = order, activation, activation_gain(activation)
        self.doubled_knot, self.columns = doubled_knot, list(columns)
        n_weights = max((c.stop for c in columns), default=0)
        n_knots = basis.shape[1] - (1 if doubled_knot else 0)
        self.register_buffer("knots", torch.from_numpy(knots(n_knots, doubled_knot)), persistent=False)
        self.register_buffer("basis", _knot_by_knot(basis, order), persistent=False)
        wide = None if factor is None else _knot_by_knot(factor, order)
        self.register_buffer("factor", wide, persistent=False)
        sizes = [basis.shape[2], *hidden, n_weights]
        self.layers = nn.ModuleList(_Layer(a, b) for a, b in pairwise(sizes))

    def forward(self) -> Tensor:
        """Return the table (n_knots, order, n_weights)."""
        jet = self.basis
        for i, layer in enumerate(self.layers):
            if i > 0:
                jet = self._activate(jet)
            jet = layer(jet)
        if self.factor is not None:
            jet = _product(jet, self.factor)
        return jet

    @torch.jit.unused
    def curvature(self, table: Tensor, from_u: float = 0.0) -> Tensor:
        """Return the mean square of d²R/du² over the mean square of R, for the radial functions R of a table.

        It is 0 for straight lines. The first mean is exact for the slopes at the knots, joined by straight lines.

        Args:
            table: the result of `forward`.
            from_u: the smallest distance over cutoff that counts.
        """
        first = int((self.knots < from_u).sum())
        width = self.knots[first:].diff()
        bend = table[first:, 1].diff(dim=0).square().sum(1) / width.clamp(min=1e-9)  # 0/0 at a doubled knot
        size = table[first:, 0].square().mean(1)[1:] * width
        return bend.sum() / max(1, table.shape[2]) / size.sum().clamp(min=1e-30)

    @torch.jit.unused
    def matrices(self) -> dict[str, list[MatrixView]]:
        """Return a view of each matrix; the last layer holds one for each path of the convolution."""
        last = len(self.layers) - 1
        views: dict[str, list[MatrixView]] = {f"layers.{i}.weight": [_whole] for i in range(last)}
        return {**views, f"layers.{last}.weight": [_columns(which) for which in self.columns]}

    def _activate(self, jet: Tensor) -> Tensor:
        """Return f(v), f' v' and f'' v'^2 + f' v'' for the activation f."""
        value, slope, curvature = activation_jet(self.activation, jet[:, 0])
        out = [value, slope * jet[:, 1]]
        if self.order == 3:
            out.append(curvature * jet[:, 1].square() + slope * jet[:, 2])
        return torch.stack(out, dim=1) * self.gain


def _whole(w: Tensor) -> Tensor:
    return w.unsqueeze(0)


def _columns(which: slice) -> MatrixView:
    return lambda w: w[:, which].unsqueeze(0)


def _knot_by_knot(functions: NDArray[np.float64], order: int) -> Tensor:
    """Return functions (3, n_knots, n) with their derivatives in the layout (n_knots, order, n)."""
    return torch.from_numpy(functions[:order].swapaxes(0, 1).copy())


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Return value and derivatives of a product."""
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
    """The table of a radial network as a constant, which replaces the network in an exported model."""

    table: Tensor

    def __init__(self, table: Tensor, doubled_knot: int = 0) -> None:
        super().__init__()
        self.doubled_knot = doubled_knot
        self.register_buffer("table", table.detach().clone())

    def forward(self) -> Tensor:
        return self.table
