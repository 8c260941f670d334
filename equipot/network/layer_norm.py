"""A layer norm: the features of each atom are divided by their root mean square, and each channel has a weight."""

import torch
from torch import Tensor, nn

from equipot.irreps import Irreps
from equipot.network.blocks import blocks
from equipot.network.layer import Layer, MatrixView
from equipot.network.program import Program


class LayerNorm(Layer):
    """The map x -> w x / sqrt(q + epsilon), where q is the mean of |x_l|²/((2l + 1) n_l) over the irreps.

    |x_l|² is the sum of squares of the n_l channels of an irrep, so each irrep counts as much as another, whatever its
    size. Nothing is subtracted. w is a learnt weight for each channel. The norm of EquiformerV2 (Liao et al., ICLR
    2024) is of this kind; it also subtracts means and divides by other sizes.

    Args:
        irreps: irreps of the features.
        epsilon: a positive number.
    """

    part = "layer_norm"
    means: Tensor
    channels: Tensor

    def __init__(self, irreps: Irreps, epsilon: float) -> None:
        super().__init__()
        parts = [b for b in blocks(irreps) if b.mul > 0]
        self.epsilon = epsilon
        means = torch.zeros(int(irreps.dim), dtype=torch.float64)
        channels = torch.zeros(int(irreps.dim), dtype=torch.int64)
        first = 0
        for b in parts:
            means[b.start : b.end] = 1 / (b.dim * b.mul * len(parts))
            channels[b.start : b.end] = torch.arange(first, first + b.mul).repeat(b.dim)
            first += b.mul
        self.register_buffer("means", means, persistent=False)
        self.register_buffer("channels", channels, persistent=False)
        self.weight = nn.Parameter(torch.ones(first, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Return the norm of x (n_atoms, irreps.dim)."""
        scale = torch.rsqrt(x.square() @ self.means + self.epsilon)
        return x * scale.unsqueeze(1) * self.weight.index_select(0, self.channels)

    @torch.jit.unused
    def write(self, program: Program, x: int) -> int:
        """Add the norm to a program; return its value."""
        out = program.value(self.means.shape[0])
        weight = program.real(self.weight.index_select(0, self.channels))
        means = program.real(self.means)
        program.add("layer_norm", x=x, out=out, means=means, weight=weight, epsilon=self.epsilon)
        return out

    @torch.jit.unused
    def matrices(self) -> dict[str, list[MatrixView]]:
        return {}  # a weight multiplies one channel
