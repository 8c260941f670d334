"""The columns that each irrep of a feature occupies. No other module computes column numbers from irreps."""

from typing import NamedTuple

from equipot.irreps import Irrep, Irreps


class Block(NamedTuple):
    """The columns of one irrep: start : start + dim · mul hold its mul channels, with m as the slower index."""

    start: int
    dim: int  # 2l + 1
    mul: int
    ir: Irrep

    @property
    def end(self) -> int:
        return self.start + self.dim * self.mul


def blocks(irreps: Irreps) -> list[Block]:
    """Return the blocks of a feature in order; raise ValueError when an irrep occurs twice (simplify irreps first)."""
    result: list[Block] = []
    start = 0
    for mul, ir in irreps:
        if any(b.ir == ir for b in result):
            raise ValueError(f"irreps '{irreps}' hold {ir} twice; expected one block per irrep")
        result.append(Block(start, ir.dim, mul, ir))
        start += mul * ir.dim
    return result
