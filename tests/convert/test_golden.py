"""Tiny models made by SevenNet 0.13.0 and NequIP 0.19.1, with their results in float64: make_golden.py wrote them.

The tests beside this one compare far more models, where the peers are installed.
"""

from pathlib import Path

import pytest
import torch

from equipot.convert.nequip import is_nequip, read_nequip
from equipot.convert.pickles import read_checkpoint
from equipot.convert.sevennet import read_sevennet
from equipot.errors import ModelFileError
from equipot.network.potential import Potential
from tests.convert import test_nequip, test_sevennet

DATA = Path(__file__).with_name("data")
SEVENNET = sorted((DATA / "sevennet").glob("*.npz"))
NEQUIX = sorted((DATA / "nequix").glob("*.nqx"))  # compared in test_nequix.py
NEQUIP = [file for file in sorted((DATA / "nequip").iterdir()) if file.suffix in (".ckpt", ".zip")]


def sevennet_of(oracle: Path) -> Potential:
    """The model of MODEL.npz or MODEL-MODALITY.npz, results of SevenNet."""
    alone = oracle.with_suffix(".pth").is_file()
    name, modality = (oracle.stem, None) if alone else oracle.stem.rsplit("-", 1)
    return read_sevennet(read_checkpoint(oracle.with_name(f"{name}.pth")), modality)[0]


@pytest.mark.parametrize("oracle", SEVENNET, ids=lambda file: file.stem)
def test_a_model_of_sevennet_has_the_numbers_that_it_had_there(oracle):
    # Rounding of double precision and of the fine spline.
    assert test_sevennet._largest_difference(test_sevennet._fine(sevennet_of(oracle)), oracle) < 1e-10


@pytest.mark.parametrize(
    "accelerator",
    [{"use_flash_tp": True}, {"use_oeq": True}, {"cuequivariance_config": {"use": True}}],
    ids=["FlashTP", "OpenEquivariance", "cuEquivariance"],
)
def test_weights_that_were_trained_with_an_accelerator_are_read(accelerator):
    """SevenNet itself only reshapes them, and drops or adds constants of e3nn's modules."""
    oracle = DATA / "sevennet" / "as MF ompa-omat24.npz"
    checkpoint = read_checkpoint(oracle.with_name("as MF ompa.pth"))
    checkpoint["config"] |= accelerator
    state = checkpoint["model_state_dict"]
    for name in list(state):
        if "convolution.convolution." in name or name.endswith(("output_mask", "linear.bias")):
            del state[name]
        elif "cuequivariance_config" in accelerator and name.endswith(
            ("linear.weight", "fc_tensor_product.weight")
        ):
            state[name] = state[name].reshape(1, -1)
    potential, _ = read_sevennet(checkpoint, "omat24")
    assert test_sevennet._largest_difference(test_sevennet._fine(potential), oracle) < 1e-10


def test_a_missing_modality_is_named_with_a_command_that_every_caller_has():
    # `equipot report sevenn:7net-mf-0` and others reach this sentence, and have no option --modality.
    checkpoint = read_checkpoint(DATA / "sevennet" / "as MF ompa.pth")
    with pytest.raises(
        ModelFileError, match=r"mpa, omat24, but none .* `equipot convert … --modality mpa`, and use"
    ):
        read_sevennet(checkpoint, None)


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
