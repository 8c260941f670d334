"""Invariant norms: the lengths of vectors and tensors enter the scalars of a layer.

A convolution is linear in the features, and the gate multiplies them by scalars only. Without norms a layer does not
see the angles between two of its own sums over neighbours; only later layers can.
"""

import math

import torch
from torch import Tensor, nn

from equipot.irreps import Irrep, Irreps
from equipot.network.blocks import blocks
from equipot.network.layer import Cost, Layer, MatrixView
from equipot.network.program import Program


class InvariantNorms(Layer):
    """A layer that adds W (sqrt(1 + |x_l|²/(2l + 1)) - 1) to the even scalars.

    |x_l| are the lengths of all channels with l > 0, and W is a learnt matrix.

    PaiNN's update block does this with its vectors (Schütt et al., ICML 2021, eq. 9); here it is done for all l. The
    root is smooth where a length is zero, and grows no faster than the length. Squares made energies of atoms too close
    to each other a hundred times too high (docs/training.md). The linear map before can mix two channels, so lengths
    also contain their scalar products.

    Args:
        irreps: irreps with even scalars and at least one irrep with l > 0.
    """

    part = "norms"
    squares: Tensor

    def __init__(self, irreps: Irreps) -> None:
        super().__init__()
        (scalars,) = [b for b in blocks(irreps) if b.ir == Irrep("0e")]
        higher = [b for b in blocks(irreps) if b.ir.l > 0 and b.mul > 0]
        self.before, self.after = scalars.start, int(irreps.dim) - scalars.end
        # One matrix product instead of a sum per irrep: a batch has few atoms, so calls cost more than arithmetic.
        self.higher = [(b.start, b.dim, b.mul) for b in higher]
        squares = torch.zeros(int(irreps.dim), sum(b.mul for b in higher), dtype=torch.float64)
        channel = 0
        for b in higher:
            same = torch.eye(b.mul, dtype=torch.float64).repeat(b.dim, 1)
            squares[b.start : b.end, channel : channel + b.mul] = same / b.dim
            channel += b.mul
        self.register_buffer("squares", squares, persistent=False)
        weight = torch.randn(channel, scalars.mul, dtype=torch.float64)
        self.weight = nn.Parameter(weight / math.sqrt(channel))

    def forward(self, x: Tensor) -> Tensor:
        """Return x (n_atoms, irreps.dim) with the norms added to its scalars."""
        lengths = torch.sqrt(1.0 + x.square() @ self.squares) - 1.0
        return x + nn.functional.pad(lengths @ self.weight, [self.before, self.after])

    @torch.jit.unused
    def write(self, program: Program, x: int) -> None:
        """Add the norms to the scalars of x in a program."""
        blocks = program.integers(torch.tensor(self.higher))
        program.add("norms", x=x, blocks=blocks, start=self.before, weight=program.real(self.weight))

    @torch.jit.unused
    def matrices(self) -> dict[str, list[MatrixView]]:
        return {"weight": [lambda w: w.unsqueeze(0)]}

    @torch.jit.unused
    def cost(self) -> Cost:
        """Return fused multiply-adds per atom: the sums of squares and W times the lengths; as many backward."""
        products = self.squares.numel() + self.weight.numel()
        return Cost(products, products)
