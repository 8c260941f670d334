"""Which products of features and spherical harmonics a convolution forms, and where each lies in memory.

Layout everywhere: (atom, m, channel), channels contiguous. A block `mul x (l, p)` of an irreps string takes
(2l + 1) * mul numbers, m the slower index.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from equipot.irreps import Irrep, Irreps
from equipot.ops.coupling import wigner_3j
from equipot.ops.harmonics import coefficients


@dataclass(frozen=True)
class Path:
    """One product: block `block` of the input with harmonics of order `l_edge` gives irrep `out`, mul channels."""

    block: int
    l_edge: int
    out: Irrep
    mul: int
    weights: slice  # columns of the radial table that weigh this path


@dataclass(frozen=True)
class ConvolutionPaths:
    """All paths from `irreps_in` to the irreps of `irreps_wanted`, through harmonics up to `l_max`.

    Attributes:
        irreps_out: the sum over neighbours, one block per irrep: the channels of its paths side by side.
        n_weights: columns of the radial table.

    Edge parity is (-1)^l; with `even=True` it is +1 for every l (SO(3) networks, whose features are all even).
    """

    irreps_in: Irreps
    irreps_wanted: Irreps
    l_max: int
    even: bool = False
    paths: tuple[Path, ...] = field(init=False)
    irreps_out: Irreps = field(init=False)
    n_weights: int = field(init=False)

    def __post_init__(self) -> None:
        wanted = {ir for _, ir in self.irreps_wanted}
        paths, start = [], 0
        for block, (mul, ir_in) in enumerate(self.irreps_in):
            for l_edge in range(self.l_max + 1):
                edge = Irrep(l_edge, 1 if self.even else (-1) ** l_edge)
                for out in ir_in * edge:
                    if out in wanted:
                        paths.append(Path(block, l_edge, out, mul, slice(start, start + mul)))
                        start += mul
        reached = sorted({p.out for p in paths})
        blocks = [(sum(p.mul for p in paths if p.out == ir), ir) for ir in reached]
        object.__setattr__(self, "paths", tuple(paths))
        object.__setattr__(self, "irreps_out", Irreps(blocks))
        object.__setattr__(self, "n_weights", start)

    def plan(self) -> tuple[Tensor, Tensor]:
        """The paths as the operator takes them.

        Returns:
            (n_paths, 8) int64: l_in, l_edge, l_out, mul, the column of x where the input block starts, the
            column of the output of the path's first channel, columns from one m to the next there, the first
            column of the radial table.
            float64, path after path: the matrices P (monomial, 2 l_out + 1, 2 l_in + 1), such that
            sum over monomials of P · monomial(unit vector) maps x to the output: Clebsch-Gordan coefficients
            (with the output's `component` normalisation) times the harmonics' coefficients.
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
            # What is zero by symmetry comes out as rounding; the kernels skip exact zeros.
            coupling.append(torch.where(product.abs() < 1e-14, 0.0, product).flatten())
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, 8), torch.cat(coupling)
