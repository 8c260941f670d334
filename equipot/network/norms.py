"""Products of features: the lengths of vectors and tensors enter the scalars.

A convolution is linear in the features and the gate multiplies them by scalars only, so a layer without this learns
about the angles between two of its sums over neighbours in the layers after it, if at all.
"""

import math

import torch
from torch import Tensor, nn

from equipot.irreps import Irrep, Irreps
from equipot.network.blocks import blocks
from equipot.network.layer import Cost, Layer, MatrixView


class InvariantNorms(Layer):
    """Adds W (sqrt(1 + |x_l|²/(2l + 1)) - 1) to the even scalars; |x_l| are the lengths of all channels with l > 0.

    As PaiNN's update block does with its vectors (Schütt et al., ICML 2021, eq. 9), here for all l. The root is smooth
    where a length is zero, and grows no faster than the length: squares made energies of atoms too close to each other
    a hundred times too high (docs/training.md). W is a learnt matrix; the linear map that comes before makes scalar
    products of two channels out of lengths.

    Args:
        irreps: with even scalars, and with some l > 0.
    """

    part = "norms"
    squares: Tensor

    def __init__(self, irreps: Irreps) -> None:
        super().__init__()
        (scalars,) = [b for b in blocks(irreps) if b.ir == Irrep("0e")]
        higher = [b for b in blocks(irreps) if b.ir.l > 0 and b.mul > 0]
        self.before, self.after = scalars.start, int(irreps.dim) - scalars.end
        # One product instead of a sum for each irrep: for the few atoms of a batch, calls cost more than work.
        squares = torch.zeros(int(irreps.dim), sum(b.mul for b in higher), dtype=torch.float64)
        channel = 0
        for b in higher:
            squares[b.start : b.end, channel : channel + b.mul] = torch.eye(b.mul).repeat(b.dim, 1) / b.dim
            channel += b.mul
        self.register_buffer("squares", squares, persistent=False)
        weight = torch.randn(channel, scalars.mul, dtype=torch.float64)
        self.weight = nn.Parameter(weight / math.sqrt(channel))

    def forward(self, x: Tensor) -> Tensor:
        """X (n_atoms, irreps.dim) to the same."""
        lengths = torch.sqrt(1.0 + x.square() @ self.squares) - 1.0
        return x + nn.functional.pad(lengths @ self.weight, [self.before, self.after])

    @torch.jit.unused
    def matrices(self) -> dict[str, list[MatrixView]]:
        return {"weight": [lambda w: w.unsqueeze(0)]}

    @torch.jit.unused
    def cost(self) -> Cost:
        """Fused multiply-adds for each atom: a product that sums squares, and one of the lengths; the same back."""
        products = self.squares.numel() + self.weight.numel()
        return Cost(products, products)
