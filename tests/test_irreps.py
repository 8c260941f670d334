"""Names of irreps beside e3nn's own classes."""

import copy
import pickle

import pytest
from e3nn import o3

from equipot.irreps import Irrep, Irreps

TEXTS = [
    "",
    "0e",
    "128x0e+64x1o+32x2e",
    " 3x0e + 2x 1o+0x4e",
    "2x0e+3x0e+1x1o",
    "1x0e+0x1o+2x0e+1e",
    "1y+2y",
    "0x0e+2x1o+0x0e",
    "10x3o+1x0o",
]


@pytest.mark.parametrize("text", TEXTS)
def test_irreps_are_read_and_described_as_by_e3nn(text):
    ours, theirs = Irreps(text), o3.Irreps(text)
    assert str(ours) == str(theirs)
    assert Irreps(str(ours)) == ours
    assert ours.dim == theirs.dim
    assert ours.slices() == theirs.slices()
    assert str(ours.simplify()) == str(theirs.simplify())
    assert str(ours.sorted()) == str(theirs.sort().irreps)
    assert [(block.mul, block.ir.l, block.ir.p, block.dim) for block in ours] == [
        (block.mul, block.ir.l, block.ir.p, block.dim) for block in theirs
    ]
    for name in ("0e", "0o", "1o", "1e", "4e"):
        assert ours.count(name) == theirs.count(name)
        assert (Irrep(name) in ours) == (o3.Irrep(name) in theirs)
    assert str(ours + Irreps("2x1o")) == str(theirs + o3.Irreps("2x1o"))


@pytest.mark.parametrize("text", ["x0e", "-1x0e", "2x-1e", "0", "foo", "2x0z", "0e++1o", "+", "1.5x0e"])
def test_what_e3nn_refuses_is_refused(text):
    with pytest.raises(ValueError):
        o3.Irreps(text)
    with pytest.raises(ValueError):
        Irreps(text)


@pytest.mark.parametrize("wrong", ["2x1o", "", "1", (1, 0), (-1, 1), (1, 2)])
def test_what_is_no_irrep_is_refused(wrong):
    with pytest.raises(ValueError):
        Irrep(wrong)


def test_products_and_the_order_of_irreps_are_those_of_e3nn():
    pairs = [(l, p) for l in range(4) for p in (1, -1)]
    assert str(sorted(Irrep(*pair) for pair in pairs)) == str(sorted(o3.Irrep(*pair) for pair in pairs))
    for a in pairs:
        for b in pairs:
            assert str(list(Irrep(a) * Irrep(b))) == str(list(o3.Irrep(a) * o3.Irrep(b)))


@pytest.mark.parametrize("p", [1, -1])
def test_spherical_harmonics_have_the_irreps_of_e3nn(p):
    for l_max in range(5):
        assert str(Irreps.spherical_harmonics(l_max, p)) == str(o3.Irreps.spherical_harmonics(l_max, p))
        assert Irreps.spherical_harmonics(l_max, p).lmax == l_max


def test_irreps_survive_copies_and_pickles():
    irreps = Irreps("2x0e+1x1o")
    for other in (copy.deepcopy(irreps), pickle.loads(pickle.dumps(irreps)), Irreps(irreps)):
        assert other == irreps
        assert isinstance(other[1].ir, Irrep)
    with pytest.raises(ValueError):
        _ = Irreps().lmax
