"""Irreducible representations of O(3) by name, as e3nn writes them: "128x0e+64x1o".

e3nn itself is imported only where coefficients are made (`equipot.ops.coupling`, `equipot.network.activation`): it
takes more than a second, which a calculator or a simulation with a model file need not spend.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_TERM = re.compile(r"\s*(?:(\d+)\s*x\s*)?(\d+)([eoy])\s*")


class _Irrep(NamedTuple):
    l: int
    p: int


class Irrep(_Irrep):
    """One irrep: its order l and its parity p, 1 (even) or -1 (odd)."""

    def __new__(cls, l: "int | str | Irrep | tuple[int, int]", p: int | None = None) -> "Irrep":
        """From two numbers, a pair of them, or a name such as "1o"; raises ValueError for anything else."""
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
        """2l + 1 components."""
        return 2 * self.l + 1

    def __mul__(self, other: "Irrep") -> Iterator["Irrep"]:  # type: ignore[override]
        """The irreps of the product, in rising order of l (the triangle rule)."""
        for l in range(abs(self.l - other.l), self.l + other.l + 1):
            yield Irrep(l, self.p * other.p)

    def __repr__(self) -> str:
        return f"{self.l}{'e' if self.p == 1 else 'o'}"

    __str__ = __repr__


class MulIrrep(NamedTuple):
    """`mul` channels of an irrep."""

    mul: int
    ir: Irrep

    @property
    def dim(self) -> int:
        return self.mul * self.ir.dim

    def __str__(self) -> str:
        return f"{self.mul}x{self.ir}"


_Given = str | Iterable[tuple[int, Irrep | tuple[int, int]]]


class Irreps(tuple[MulIrrep, ...]):
    """A sum of irreps with multiplicities, in the order of a feature's columns.

    Args:
        irreps: a text such as "128x0e+64x1o", or pairs of a multiplicity and an irrep.

    Raises:
        ValueError: the text is not of this form, or a pair holds no irrep.
    """

    def __new__(cls, irreps: _Given = ()) -> "Irreps":
        pairs = _parsed(irreps) if isinstance(irreps, str) else irreps
        return super().__new__(cls, (MulIrrep(int(mul), Irrep(ir)) for mul, ir in pairs))

    @classmethod
    def spherical_harmonics(cls, l_max: int, p: int = -1) -> "Irreps":
        """One of each order up to `l_max`, of parity p^l."""
        return cls((1, (l, p**l)) for l in range(l_max + 1))

    @property
    def dim(self) -> int:
        """Number of columns."""
        return sum(block.dim for block in self)

    @property
    def lmax(self) -> int:
        """Highest order; raises ValueError where there are no irreps."""
        return max(ir.l for _, ir in self)

    def count(self, ir: str | Irrep) -> int:
        """Channels of an irrep, over all its blocks."""
        return sum(mul for mul, own in self if own == Irrep(ir))

    def slices(self) -> list[slice]:
        """The columns of each block."""
        found, start = [], 0
        for block in self:
            found.append(slice(start, start + block.dim))
            start += block.dim
        return found

    def sorted(self) -> "Irreps":
        """In rising order of l, odd before even; equal irreps keep their order."""
        blocks: list[MulIrrep] = sorted(self, key=lambda block: block.ir)
        return Irreps(blocks)

    def simplify(self) -> "Irreps":
        """Neighbouring blocks of the same irrep as one; blocks without channels are left out."""
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
        """Whether an irrep is among them, be it without channels."""
        return any(own == ir for _, own in self)

    def __repr__(self) -> str:
        return "+".join(str(block) for block in self)

    __str__ = __repr__


def _parsed(text: str) -> list[tuple[int, Irrep]]:
    terms = [_TERM.fullmatch(part) for part in text.split("+")] if text.strip() else []
    if not all(terms):
        raise ValueError(f'"{text}" are not irreps; expected for example "128x0e+64x1o"')
    return [(int(term[1] or 1), Irrep(*_order_and_parity(term))) for term in terms if term]


def _order_and_parity(term: re.Match[str]) -> tuple[int, int]:
    l = int(term[2])
    return l, {"e": 1, "o": -1, "y": (-1) ** l}[term[3]]
