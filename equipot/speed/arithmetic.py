"""The number of fused multiply-adds of one step (energy and forces), from the sizes of a network.

The count contains the parts that grow with channels: convolutions and linear maps. It leaves out the geometry of the
edges, the matrices P of each edge and the gates, which are a few per cent of a network of usual width.
"""

from dataclasses import dataclass
from typing import Any

from equipot.network.layer import Cost
from equipot.network.potential import Potential
from equipot.ops import ConvolutionPaths


@dataclass(frozen=True)
class NetworkCost:
    """The costs of the parts of a network, layers in order."""

    convolutions: tuple[Cost, ...]  # per edge
    linear_maps: tuple[Cost, ...]  # per atom
    readout: Cost  # per atom

    def per_atom(self, neighbours: float) -> float:
        """Return the fused multiply-adds of one step per atom, for a number of neighbours per atom."""
        edges = sum(cost.total for cost in self.convolutions)
        return neighbours * edges + sum(cost.total for cost in self.linear_maps) + self.readout.total


def network_cost(potential: Potential) -> NetworkCost:
    """Return the costs of a potential with radial tables, like the exported one."""
    convolutions, linear_maps = [], []
    layers: list[Any] = list(potential.layers)
    for k, layer in enumerate(layers):
        # The input of the first layer depends on the species alone, so it needs no gradient.
        moves = k > 0
        convolutions.append(convolution_cost(layer.paths, potential.spec.spline_order, moves))
        linear_maps.append(layer.cost(moves))
    return NetworkCost(tuple(convolutions), tuple(linear_maps), potential.read.cost())


def convolution_cost(paths: ConvolutionPaths, order: int, input_gradient: bool = True) -> Cost:
    """Return the cost per edge, summed over the paths; see `path_cost`."""
    total = Cost()
    for path in paths.paths:
        l_in = paths.irreps_in[path.block].ir.l
        total += path_cost(l_in, path.l_edge, path.out.l, path.mul, order, input_gradient)
    return total


def path_cost(l_in: int, l_edge: int, l_out: int, mul: int, order: int, input_gradient: bool = True) -> Cost:
    """Return the cost per edge of a path with D1 = 2 l_in + 1 and D3 = 2 l_out + 1 components.

    Args:
        l_in, l_edge, l_out: orders of the input, the harmonics and the output.
        mul: number of channels.
        order: numbers per knot and weight in the radial table, 2 (cubic) or 3 (quintic).
        input_gradient: whether the gradient of the input features is computed.

    Forward, per channel: the weight w from the numbers of two knots (2 order), the product P x (D1 D3), and w times
    the shorter side. Backward: w and its slope (4 order), y = Pᵀ g (D1 D3), <y, x> (D1) times the slope (1), w y added
    to dx (D1), and for dP the outer product of w g (D3) and x (D1 D3). With l_edge = 0, P is a number without a
    gradient. It multiplies y (D1) in the backward pass, and costs nothing per edge in the forward pass.
    """
    d1, d3 = 2 * l_in + 1, 2 * l_out + 1
    dx = d1 if input_gradient else 0
    if l_edge == 0:
        return Cost(mul * (2 * order + d1), mul * (4 * order + 2 * d1 + 1 + dx))
    forward = 2 * order + d1 * d3 + min(d1, d3)
    return Cost(mul * forward, mul * (4 * order + 2 * d1 * d3 + d1 + 1 + dx + d3))
