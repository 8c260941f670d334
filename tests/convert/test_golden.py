"""Tiny models made by SevenNet 0.13.0 and NequIP 0.19.1, with their results in float64: make_golden.py wrote them.

The tests beside this one compare far more models, where the peers are installed.
"""

from pathlib import Path

import pytest
import torch

from equipot.convert.nequip import is_nequip, read_nequip
from equipot.convert.pickles import read_checkpoint
from equipot.convert.sevennet import read_sevennet
from tests.convert import test_nequip, test_sevennet

DATA = Path(__file__).with_name("data")
SEVENNET = sorted((DATA / "sevennet").glob("*.npz"))
NEQUIX = sorted((DATA / "nequix").glob("*.nqx"))  # compared in test_nequix.py
NEQUIP = [file for file in sorted((DATA / "nequip").iterdir()) if file.suffix in (".ckpt", ".zip")]


@pytest.mark.parametrize("oracle", SEVENNET, ids=lambda file: file.stem)
def test_a_model_of_sevennet_has_the_numbers_that_it_had_there(oracle):
    name, _, modality = oracle.stem.partition("-")
    modality = modality if modality in ("PBE", "R2SCAN") else None
    stem = name if modality else oracle.stem
    potential, _ = read_sevennet(read_checkpoint(oracle.with_name(f"{stem}.pth")), modality)
    # Rounding of double precision and of the fine spline.
    assert test_sevennet._largest_difference(test_sevennet._fine(potential), oracle) < 1e-10


def test_coefficients_of_either_sign_are_told_from_each_other():
    # e3nn has changed the sign of some Clebsch-Gordan coefficients; checkpoints hold those that they were trained with.
    # With all of them negated, and the weights of these paths too, a model is what it was.
    oracle = DATA / "sevennet" / "parity, l up to 2, three layers.npz"
    checkpoint = read_checkpoint(oracle.with_suffix(".pth"))
    before, _ = read_sevennet(checkpoint, None)
    state = checkpoint["model_state_dict"]
    signed = [name for name in state if "_w3j_" in name]
    assert signed
    for name in signed:
        state[name] = -state[name]
    after, _ = read_sevennet(checkpoint, None)
    changed = 0
    for t, (a, b) in enumerate(zip(before.layers, after.layers, strict=True)):
        for path in a.paths.paths:
            orders = a.irreps_in[path.block].ir.l, path.l_edge, path.out.l
            held = any(
                name.startswith(f"{t}_") and name.endswith("_{}_{}_{}".format(*orders)) for name in signed
            )
            old, new = (layer.radial.layers[-1].weight[:, path.weights] for layer in (a, b))
            assert torch.equal(new, -old if held else old)
            changed += held
    assert changed


@pytest.mark.parametrize("file", NEQUIP, ids=lambda file: file.name)
def test_a_model_of_nequip_has_the_numbers_that_it_had_there(file):
    assert is_nequip(file)
    potential = test_nequip._with_knots(read_nequip(file), 2001)
    assert test_nequip._largest_difference(lambda atoms: test_nequip._results(potential, atoms), file) < 1e-9


def test_every_family_is_there():
    assert len(SEVENNET) >= 6
    assert {file.suffix for file in NEQUIP} == {".ckpt", ".zip"}
    assert len(NEQUIX) >= 3
