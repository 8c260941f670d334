"""The paths of a convolution: products of features and spherical harmonics, and their places in memory.

All features have the layout (atom, m, channel) with contiguous channels. A block `mul x (l, p)` of an irreps string
takes (2l + 1) * mul numbers, with m as the slower index.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from equipot.irreps import Irrep, Irreps
from equipot.ops.coupling import wigner_3j
from equipot.ops.harmonics import coefficients


@dataclass(frozen=True)
class Path:
    """A product: block `block` of the input times harmonics of order `l_edge` gives `mul` channels of irrep `out`."""

    block: int
    l_edge: int
    out: Irrep
    mul: int
    weights: slice  # columns of the radial table that weigh this path


@dataclass(frozen=True)
class ConvolutionPaths:
    """The paths from `irreps_in` to the irreps of `irreps_hidden`, through harmonics up to order `l_max`.

    Attributes:
        edge_parity: parity of the harmonics of order 1. With -1, the parity of order l is (-1)^l. With 1, all harmonics
            are even (SO(3) networks, whose features are all even).
        irreps_out: irreps of the sum over neighbours, with one block per irrep: the channels of its paths side by side.
        n_weights: number of columns of the radial table.
    """

    irreps_in: Irreps
    irreps_hidden: Irreps
    l_max: int
    edge_parity: Literal[-1, 1] = -1
    paths: tuple[Path, ...] = field(init=False)
    irreps_out: Irreps = field(init=False)
    n_weights: int = field(init=False)

    def __post_init__(self) -> None:
        hidden = {ir for _, ir in self.irreps_hidden}
        paths, start = [], 0
        for block, (mul, ir_in) in enumerate(self.irreps_in):
            for l_edge in range(self.l_max + 1):
                edge = Irrep(l_edge, self.edge_parity**l_edge)
                for out in ir_in * edge:
                    if out in hidden:
                        paths.append(Path(block, l_edge, out, mul, slice(start, start + mul)))
                        start += mul
        reached = sorted({p.out for p in paths})
        blocks = [(sum(p.mul for p in paths if p.out == ir), ir) for ir in reached]
        object.__setattr__(self, "paths", tuple(paths))
        object.__setattr__(self, "irreps_out", Irreps(blocks))
        object.__setattr__(self, "n_weights", start)

    def plan(self) -> tuple[Tensor, Tensor]:
        """Return the paths as arguments of the operator.

        Returns:
            paths, (n_paths, 8) int64: l_in, l_edge, l_out, mul, the column of x where the input block starts, the
            output column of the path's first channel, the number of output columns from one m to the next, the first
            column of the radial table.
            coupling, float64: the matrices P (monomial, 2 l_out + 1, 2 l_in + 1) of all paths, one after the other. The
            sum over monomials of P · monomial(unit vector) maps x to the output. P is the product of the
            Clebsch-Gordan coefficients (with the output's `component` normalisation) and the coefficients of the
            harmonics.
        """
        block_start, start = [], 0
        for mul, ir in self.irreps_in:
            block_start.append(start)
            start += mul * ir.dim
        out_start, out_mul, start = {}, {}, 0
        for mul, ir in self.irreps_out:
            out_start[ir], out_mul[ir] = start, mul
            start += mul * ir.dim
        used = dict.fromkeys(out_start, 0)
        rows, coupling = [], [torch.zeros(0, dtype=torch.float64)]
        for p in self.paths:
            l_in = self.irreps_in[p.block].ir.l
            first = out_start[p.out] + used[p.out]
            used[p.out] += p.mul
            rows.append(
                [l_in, p.l_edge, p.out.l, p.mul, block_start[p.block], first, out_mul[p.out], p.weights.start]
            )
            clebsch_gordan = wigner_3j(l_in, p.l_edge, p.out.l) * math.sqrt(p.out.dim)
            harmonics = torch.from_numpy(coefficients(p.l_edge))
            product = torch.einsum("ke,iem->kmi", harmonics, clebsch_gordan)
            # Entries that are zero by symmetry have rounding errors; the kernels skip exact zeros.
            coupling.append(torch.where(product.abs() < 1e-14, 0.0, product).flatten())
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, 8), torch.cat(coupling)
