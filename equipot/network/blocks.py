"""Where each irrep of a feature lies: the only place that turns irreps into column numbers."""

from typing import NamedTuple

from equipot.irreps import Irrep, Irreps


class Block(NamedTuple):
    """Columns start : start + dim · mul hold mul channels of one irrep, m the slower index."""

    start: int
    dim: int  # 2l + 1
    mul: int
    ir: Irrep

    @property
    def end(self) -> int:
        return self.start + self.dim * self.mul


def blocks(irreps: Irreps) -> list[Block]:
    """Blocks of a feature in order; raises ValueError when an irrep occurs twice (simplify the irreps first)."""
    found: list[Block] = []
    start = 0
    for mul, ir in irreps:
        if any(b.ir == ir for b in found):
            raise ValueError(f"irreps '{irreps}' hold {ir} twice; expected one block per irrep")
        found.append(Block(start, ir.dim, mul, ir))
        start += mul * ir.dim
    return found
