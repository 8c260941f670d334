"""NequIP's checkpoints: Lightning's `*.ckpt` with the options a network was built with and its weights."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from equipot.convert.nequip_description import (
    BUILDERS,
    Description,
    State,
    from_options,
    prefix_of_only_network,
)
from equipot.convert.nequip_package import is_package, read_package
from equipot.convert.pickles import read_checkpoint
from equipot.errors import ModelFileError

_OPTIONAL = ("bessel_weights", "scales", "shifts")  # trained or constant, as the options say
# Modifiers that change no energy, or only numbers that are in the weights.
_HARMLESS = {"enable_ForceStressOutput", "disable_ForceStressOutput", "enable_OpenEquivariance",
             "enable_CuEquivariance"}  # fmt: skip


def is_checkpoint(found: Mapping[str, Any]) -> bool:
    options = found.get("hyper_parameters")
    if "state_dict" not in found or not isinstance(options, dict):
        return False
    model = options.get("model")
    return isinstance(model, dict) and "_target_" in model


def read(found: Mapping[str, Any], seen: tuple[Path, ...] = ()) -> tuple[Description, State]:
    """The network that nequip evaluates when it loads this checkpoint: with averaged weights, if there are any.

    Args:
        found: as `pickles.read_checkpoint` gives it.
        seen: files that led to this one.
    """
    state = found["state_dict"]
    if "schedulefree_optimizer_state_dict" in found:
        raise ModelFileError(
            "it was trained schedule-free, so its evaluated weights are in the optimizer; package it with "
            "nequip-package build, and give the package"
        )
    prefix = prefix_of_only_network({k: v for k, v in state.items() if isinstance(v, Tensor)})
    description = _describe(found["hyper_parameters"]["model"], _version(found), seen)
    weights = {
        k: v
        for k, v in state.items()
        if isinstance(v, Tensor) and k.startswith(("model.", prefix)) and v.numel()
    }
    averaged = state.get("ema._extra_state")
    if averaged is not None or "ema.ema_weight_0" in state:
        weights = _averaged(state, weights, description, averaged)
    return description, {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def _version(found: Mapping[str, Any]) -> tuple[int, ...]:
    versions = (found["hyper_parameters"].get("info_dict") or {}).get("versions") or {}
    text = str(versions.get("nequip", ""))
    numbers = re.match(r"(\d+)\.(\d+)", text)
    if numbers is None:
        raise ModelFileError(f"it says version '{text}' of nequip; expected 0.7 or newer")
    version = (int(numbers[1]), int(numbers[2]))
    if version < (0, 7):
        raise ModelFileError(f"it was written by nequip {text}; expected 0.7 or newer")
    return version


def _describe(options: Mapping[str, Any], version: tuple[int, ...], seen: tuple[Path, ...]) -> Description:
    target = str(options.get("_target_", ""))
    name = target.split(".")[-1]
    if not target.startswith("nequip."):
        raise ModelFileError(
            f"its network is built by {target}; expected one of nequip's own ({', '.join(BUILDERS)})"
        )
    if name in BUILDERS:
        return from_options(options, version)
    if name == "modify":
        return _modified(_describe(options["model"], version, seen), options["modifiers"])
    if name in ("ModelFromPackage", "ModelFromCheckpoint"):
        return _origin(Path(options.get("package_path") or options["checkpoint_path"]), seen)
    raise ModelFileError(f"its network is built by {target}; expected one of {', '.join(BUILDERS)}")


def _modified(description: Description, modifiers: Any) -> Description:
    if not isinstance(modifiers, list):
        raise ModelFileError("its modifiers are for several networks; expected one network")
    trained = set(description.trained)
    for options in modifiers:
        name = options.get("modifier")
        if name == "modify_PerTypeScaleShift":
            trained -= {"scales", "shifts"}
            trained |= {key for key in ("scales", "shifts") if options.get(f"{key}_trainable")}
        elif name not in _HARMLESS:
            raise ModelFileError(
                f"its network was changed by the modifier {name}, which equipot does not know"
            )
    return dataclasses.replace(description, trained=frozenset(trained))


def _origin(path: Path, seen: tuple[Path, ...]) -> Description:
    """Of the network that training started from."""
    if not path.is_file():
        raise ModelFileError(
            f"its training started from {path}, which describes the network and is not there; put it there, "
            "or package the checkpoint with nequip-package build and give the package"
        )
    if path.resolve() in seen:
        raise ModelFileError(f"its training started from {path}, which started from itself")
    if is_package(path):
        return read_package(path)[0]
    found = read_checkpoint(path)
    if not is_checkpoint(found):
        raise ModelFileError(f"its training started from {path}, which is no checkpoint of nequip")
    return _describe(found["hyper_parameters"]["model"], _version(found), (*seen, path.resolve()))


def _averaged(
    state: Mapping[str, Any], weights: State, description: Description, extra: Mapping[str, Any] | None
) -> State:
    """The weights with their moving averages in their places; these are a list in the network's order."""
    if extra is not None and not extra.get("is_holding_ema_weights", True):
        raise ModelFileError(
            "it was written while weights and averages were swapped, which nequip does not load either"
        )
    names = [name for name in weights if _is_parameter(name, description)]
    averages = [
        state[f"ema.ema_weight_{i}"] for i in range(sum(k.startswith("ema.ema_weight_") for k in state))
    ]
    if [weights[n].shape for n in names] != [a.shape for a in averages]:
        raise ModelFileError(
            f"it has averages of {len(averages)} weights, which do not fit the network's {len(names)}; package "
            "it with nequip-package build, and give the package"
        )
    return {**weights, **dict(zip(names, averages))}


def _is_parameter(name: str, description: Description) -> bool:
    last = name.split(".")[-1]
    # Layers that are linear in a row keep a list of matrices, by number.
    return (
        last == "weight" or last in description.trained or (last not in _OPTIONAL and ".mlp.weights." in name)
    )
