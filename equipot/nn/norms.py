"""Products of features: the squared norms of vectors and tensors enter the scalars.

A convolution is linear in the features and the gate multiplies them by scalars only, so a layer without this learns
about the angles between two of its sums over neighbours in the layers after it, if at all.
"""

import math

import torch
from e3nn.o3 import Irrep, Irreps
from torch import Tensor, nn

from equipot.nn.blocks import blocks


class SquaredNorms(nn.Module):
    """Adds W |x_l|²/(2l + 1) to the even scalars; |x_l|² are those of all channels with l > 0, W a learnt matrix.

    As PaiNN's update block does with its vectors (Schütt et al., ICML 2021, eq. 9), here with squares, which are
    smooth at zero, and for all l; a linear map before it makes scalar products of channels out of them.

    Args:
        irreps: with even scalars, and with some l > 0.
    """

    spans: list[tuple[int, int, int]]

    def __init__(self, irreps: Irreps) -> None:
        super().__init__()
        (scalars,) = [b for b in blocks(irreps) if b.ir == Irrep("0e")]
        higher = [b for b in blocks(irreps) if b.ir.l > 0 and b.mul > 0]
        self.spans = [(b.start, b.dim, b.mul) for b in higher]
        self.before, self.after = scalars.start, int(irreps.dim) - scalars.end
        n_norms = sum(b.mul for b in higher)
        weight = torch.randn(n_norms, scalars.mul, dtype=torch.float64)
        self.weight = nn.Parameter(weight / math.sqrt(n_norms))

    def forward(self, x: Tensor) -> Tensor:
        """x (n_atoms, irreps.dim) to the same."""
        norms: list[Tensor] = []
        for start, dim, mul in self.spans:
            block = x.narrow(1, start, dim * mul).reshape(-1, dim, mul)
            norms.append(block.square().sum(1) / dim)
        return x + nn.functional.pad(torch.cat(norms, 1) @ self.weight, [self.before, self.after])
