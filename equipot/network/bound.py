"""A bound of the features: they stay of moderate size, however close or many the neighbours are.

A gate multiplies features, so each layer squares large numbers. In structures that are denser than the data, energies
of deep networks would otherwise grow without limit.
"""

import torch
from torch import Tensor, nn

from equipot.irreps import Irreps
from equipot.network.blocks import blocks
from equipot.network.program import Program


class Bound(nn.Module):
    """The map x_l -> x_l / sqrt(1 + |x_l|²/(n c²)), where x_l are the n numbers of one irrep, and c is the bound.

    Features much smaller than the bound do not change, and features of zero stay zero. The root mean square of the
    result is at most c.

    Args:
        irreps: irreps of the features.
        bound: c; features are of the order of 1.
    """

    squares: Tensor
    columns: Tensor

    def __init__(self, irreps: Irreps, bound: float) -> None:
        super().__init__()
        parts = [b for b in blocks(irreps) if b.mul > 0]
        self.parts = [(b.start, b.dim * b.mul) for b in parts]
        self.bound = bound
        columns = torch.zeros(len(parts), int(irreps.dim), dtype=torch.float64)
        for row, b in enumerate(parts):
            columns[row, b.start : b.end] = 1.0
        sizes = columns.sum(1)
        # Matrix products instead of a loop over irreps, as in `InvariantNorms`.
        self.register_buffer(
            "squares", (columns / sizes[:, None] / bound**2).T.contiguous(), persistent=False
        )
        self.register_buffer("columns", columns, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the bounded features of x (n_atoms, irreps.dim)."""
        return x * (torch.rsqrt(1.0 + x.square() @ self.squares) @ self.columns)

    @torch.jit.unused
    def write(self, program: Program, x: int) -> int:
        """Add the map to a program; return its value."""
        out = program.value(self.columns.shape[1])
        program.add(
            "bound", x=x, out=out, blocks=program.integers(torch.tensor(self.parts)), bound=self.bound
        )
        return out
