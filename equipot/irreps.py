"""Irreducible representations of O(3) in e3nn's notation: "128x0e+64x1o".

e3nn itself is imported only where coefficients are computed (`equipot.ops.coupling`, `equipot.network.activation`). Its
import takes more than a second, and a simulation with a model file does not need it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_TERM = re.compile(r"\s*(?:(\d+)\s*x\s*)?(\d+)([eoy])\s*")


class _Irrep(NamedTuple):
    l: int
    p: int


class Irrep(_Irrep):
    """An irrep with order l and parity p, 1 for even or -1 for odd."""

    def __new__(cls, l: "int | str | Irrep | tuple[int, int]", p: int | None = None) -> "Irrep":
        """Create an irrep from two numbers, a pair of numbers or a name such as "1o".

        Raises:
            ValueError: the arguments are not an irrep.
        """
        if isinstance(l, str):
            term = _TERM.fullmatch(l)
            if term is None or term[1] is not None:
                raise ValueError(f"'{l}' is not an irrep; expected one such as 0e or 1o")
            l, p = _order_and_parity(term)
        elif not isinstance(l, int):
            l, p = l
        if l < 0 or p not in (1, -1):
            raise ValueError(f"l = {l}, p = {p} is not an irrep; expected l ≥ 0 and p of 1 or -1")
        return super().__new__(cls, l, p)

    @property
    def dim(self) -> int:
        """The number of components, 2l + 1."""
        return 2 * self.l + 1

    def __mul__(self, other: "Irrep") -> Iterator["Irrep"]:  # type: ignore[override]
        """Yield the irreps of the tensor product in ascending order of l (triangle rule)."""
        for l in range(abs(self.l - other.l), self.l + other.l + 1):
            yield Irrep(l, self.p * other.p)

    def __repr__(self) -> str:
        return f"{self.l}{'e' if self.p == 1 else 'o'}"

    __str__ = __repr__


class MulIrrep(NamedTuple):
    """An irrep with its multiplicity `mul`."""

    mul: int
    ir: Irrep

    @property
    def dim(self) -> int:
        return self.mul * self.ir.dim

    def __str__(self) -> str:
        return f"{self.mul}x{self.ir}"


_IrrepsLike = str | Iterable[tuple[int, Irrep | tuple[int, int]]]


class Irreps(tuple[MulIrrep, ...]):
    """A sum of irreps with multiplicities, in the order of the columns of the features.

    Args:
        irreps: a text such as "128x0e+64x1o", or pairs of a multiplicity and an irrep.

    Raises:
        ValueError: the text does not have this form, or a pair has no irrep.
    """

    def __new__(cls, irreps: _IrrepsLike = ()) -> "Irreps":
        pairs = _parsed(irreps) if isinstance(irreps, str) else irreps
        return super().__new__(cls, (MulIrrep(int(mul), Irrep(ir)) for mul, ir in pairs))

    @classmethod
    def spherical_harmonics(cls, l_max: int, p: int = -1) -> "Irreps":
        """Return one irrep of each order l up to `l_max`, with parity p^l."""
        return cls((1, (l, p**l)) for l in range(l_max + 1))

    @property
    def dim(self) -> int:
        """The number of columns."""
        return sum(block.dim for block in self)

    @property
    def lmax(self) -> int:
        """The highest order l. Raises ValueError if there are no irreps."""
        return max(ir.l for _, ir in self)

    def count(self, ir: str | Irrep) -> int:
        """Return the number of channels of an irrep in all blocks."""
        return sum(mul for mul, block_ir in self if block_ir == Irrep(ir))

    def slices(self) -> list[slice]:
        """Return the columns of each block."""
        slices, start = [], 0
        for block in self:
            slices.append(slice(start, start + block.dim))
            start += block.dim
        return slices

    def sorted(self) -> "Irreps":
        """Return the blocks in ascending order of l, odd before even. Blocks of equal irreps keep their order."""
        blocks: list[MulIrrep] = sorted(self, key=lambda block: block.ir)
        return Irreps(blocks)

    def simplify(self) -> "Irreps":
        """Merge adjacent blocks of equal irreps, and remove blocks without channels."""
        merged: list[tuple[int, Irrep]] = []
        for mul, ir in self:
            if merged and merged[-1][1] == ir:
                merged[-1] = (merged[-1][0] + mul, ir)
            elif mul > 0:
                merged.append((mul, ir))
        return Irreps(merged)

    def __add__(self, other: "Irreps") -> "Irreps":  # type: ignore[override]
        return Irreps([*self, *other])

    def __contains__(self, ir: object) -> bool:
        """Return whether a block has this irrep, even without channels."""
        return any(block_ir == ir for _, block_ir in self)

    def __repr__(self) -> str:
        return "+".join(str(block) for block in self)

    __str__ = __repr__


def _parsed(text: str) -> list[tuple[int, Irrep]]:
    terms = [_TERM.fullmatch(part) for part in text.split("+")] if text.strip() else []
    if not all(terms):
        raise ValueError(f'"{text}" is not a list of irreps; expected for example "128x0e+64x1o"')
    return [(int(term[1] or 1), Irrep(*_order_and_parity(term))) for term in terms if term]


def _order_and_parity(term: re.Match[str]) -> tuple[int, int]:
    l = int(term[2])
    return l, {"e": 1, "o": -1, "y": (-1) ** l}[term[3]]
