"""Which products of features and spherical harmonics a convolution forms, and where each lies in memory.

Layout everywhere: (atom, m, channel), channels contiguous. A block `mul x (l, p)` of an irreps string takes
(2l + 1) * mul numbers, m the slower index.
"""

from dataclasses import dataclass, field

from e3nn.o3 import Irrep, Irreps


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
