"""Files of NequIP-LES: short-range networks are nequip's, whatever builder wrote them; others end with a sentence."""

from pathlib import Path
from typing import Any

import pytest
import torch

from equipot.convert.nequip import is_nequip, read_nequip
from equipot.convert.pickles import read_checkpoint
from equipot.errors import ModelFileError
from tests.convert import test_nequip

GOLDEN = Path(__file__).with_name("data") / "nequip" / "short-range of NequIP-LES.ckpt"


def changed(folder: Path, changes: dict[str, Any], weights: dict[str, torch.Tensor] | None = None) -> Path:
    """The checkpoint with other options (None: without this one), or with further weights and without averages."""
    checkpoint = read_checkpoint(GOLDEN)
    options = checkpoint["hyper_parameters"]["model"]
    for name, value in changes.items():
        if value is None:
            del options[name]
        else:
            options[name] = value
    state = checkpoint["state_dict"]
    prefix = next(k for k in state if k.endswith("type_embed.embed_module.weight")).split("type_embed")[0]
    if weights:
        state.update({prefix + name: value for name, value in weights.items()})
        checkpoint["state_dict"] = {k: v for k, v in state.items() if not k.startswith("ema.")}
    torch.save(checkpoint, folder / "changed.ckpt")
    return folder / "changed.ckpt"


def difference(file: Path) -> float:
    potential = test_nequip._with_knots(read_nequip(file), 2001)
    return test_nequip._largest_difference(lambda atoms: test_nequip._results(potential, atoms), GOLDEN)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"compute_bec": False, "bec_output_index": 0},
        {"use_les": None},  # the weights show that it is short-range
        {"_target_": "nequip_les.model.LESModel"},
        {"_target_": "nequip_les.model.les_model.LESModel", "les_args": None},
        {"_target_": "nequip_les.model.LESModel", "base_model": "nequip"},
    ],
)
def test_a_short_range_network_has_the_numbers_of_nequip(tmp_path: Path, changes: dict[str, Any]) -> None:
    file = changed(tmp_path, changes)
    assert is_nequip(file)
    assert difference(file) < 1e-9


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"use_les": True}, r"long-range electrostatics \(NequIP-LES, use_les: true\)"),
        ({"_target_": "nequip_les.model.LESModel", "use_les": None}, "NequIP-LES, use_les: true"),
        ({"_target_": "nequip_les.model.LESModel", "LES": {"les_args": {}}}, r"\(NequIP-LES, LES\)"),
        ({"_target_": "nequip_les.model.LESModel", "base_model": "allegro"}, "base_model allegro"),
        (
            {"_target_": "nequip_les.model.OtherModel"},
            r"nequip_les\.model\.OtherModel; expected one of LESModel",
        ),
        ({"les_hidden": 3}, "built with les_hidden, which"),
    ],
)
def test_what_equipot_does_not_have_is_one_sentence(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelFileError, match=words) as caught:
        read_nequip(changed(tmp_path, changes))
    assert "\n" not in str(caught.value)


def test_weights_of_charges_are_refused_whatever_the_options_say(tmp_path: Path) -> None:
    file = changed(tmp_path, {}, {"latent_charge_readout.mlp.0.weight": torch.ones(6, 1)})
    with pytest.raises(ModelFileError, match=r"long-range electrostatics.*latent_charge_readout"):
        read_nequip(file)
