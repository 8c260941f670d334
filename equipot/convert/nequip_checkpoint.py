"""Checkpoints of NequIP: Lightning's `*.ckpt` with the options and the weights of a network."""

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
from equipot.convert.nequip_les import PACKAGE, without_les
from equipot.convert.nequip_package import is_package, read_package
from equipot.convert.pickles import read_checkpoint
from equipot.errors import ModelFileError

_OPTIONAL = ("bessel_weights", "scales", "shifts")  # the options say whether they are trained
# Modifiers that change no energy, or only numbers that the weights contain.
_HARMLESS = {"enable_ForceStressOutput", "disable_ForceStressOutput", "enable_OpenEquivariance",
             "enable_CuEquivariance"}  # fmt: skip


def is_checkpoint(checkpoint: Mapping[str, Any]) -> bool:
    options = checkpoint.get("hyper_parameters")
    if "state_dict" not in checkpoint or not isinstance(options, dict):
        return False
    model = options.get("model")
    return isinstance(model, dict) and "_target_" in model


def read(checkpoint: Mapping[str, Any], visited: tuple[Path, ...] = ()) -> tuple[Description, State]:
    """Return description and weights of the network that nequip evaluates: averages if it has any.

    Args:
        checkpoint: the result of `pickles.read_checkpoint`.
        visited: files whose trainings started from this checkpoint.
    """
    state = checkpoint["state_dict"]
    if "schedulefree_optimizer_state_dict" in checkpoint:
        raise ModelFileError(
            "its training was schedule-free, so the weights that nequip evaluates are in the optimizer; package it "
            "with nequip-package build, and give the package"
        )
    prefix = prefix_of_only_network({k: v for k, v in state.items() if isinstance(v, Tensor)})
    description = _describe(checkpoint["hyper_parameters"]["model"], _version(checkpoint), visited)
    weights = {
        k: v
        for k, v in state.items()
        if isinstance(v, Tensor) and k.startswith(("model.", prefix)) and v.numel()
    }
    averaged = state.get("ema._extra_state")
    if averaged is not None or "ema.ema_weight_0" in state:
        weights = _averaged(state, weights, description, averaged)
    return description, {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def _version(checkpoint: Mapping[str, Any]) -> tuple[int, ...]:
    versions = (checkpoint["hyper_parameters"].get("info_dict") or {}).get("versions") or {}
    text = str(versions.get("nequip", ""))
    numbers = re.match(r"(\d+)\.(\d+)", text)
    if numbers is None:
        raise ModelFileError(f"it has the nequip version '{text}'; expected 0.7 or newer")
    version = (int(numbers[1]), int(numbers[2]))
    if version < (0, 7):
        raise ModelFileError(f"it was written by nequip {text}; expected 0.7 or newer")
    return version


def _describe(options: Mapping[str, Any], version: tuple[int, ...], visited: tuple[Path, ...]) -> Description:
    target = str(options.get("_target_", ""))
    name = target.split(".")[-1]
    if not target.startswith(("nequip.", PACKAGE)):
        raise ModelFileError(
            f"its network is built by {target}; expected one of nequip's own ({', '.join(BUILDERS)})"
        )
    if name in BUILDERS or target.startswith(PACKAGE):
        return from_options(without_les(options), version)
    if name == "modify":
        return _modified(_describe(options["model"], version, visited), options["modifiers"])
    if name in ("ModelFromPackage", "ModelFromCheckpoint"):
        return _origin(Path(options.get("package_path") or options["checkpoint_path"]), visited)
    raise ModelFileError(f"its network is built by {target}; expected one of {', '.join(BUILDERS)}")


def _modified(description: Description, modifiers: Any) -> Description:
    if not isinstance(modifiers, list):
        raise ModelFileError("its modifiers are those of several networks; expected one network")
    trained = set(description.trained)
    for options in modifiers:
        name = options.get("modifier")
        if name == "modify_PerTypeScaleShift":
            trained -= {"scales", "shifts"}
            trained |= {key for key in ("scales", "shifts") if options.get(f"{key}_trainable")}
        elif name not in _HARMLESS:
            raise ModelFileError(f"its network has the modifier {name}, which equipot does not have")
    return dataclasses.replace(description, trained=frozenset(trained))


def _origin(path: Path, visited: tuple[Path, ...]) -> Description:
    """Return the description of the network that the training started from."""
    if not path.is_file():
        raise ModelFileError(
            f"its training started from {path}, which describes the network but does not exist here; copy it to that "
            "path, or package the checkpoint with nequip-package build and give the package"
        )
    if path.resolve() in visited:
        raise ModelFileError(f"its training started from {path}, whose training started from itself")
    if is_package(path):
        return read_package(path)[0]
    checkpoint = read_checkpoint(path)
    if not is_checkpoint(checkpoint):
        raise ModelFileError(f"its training started from {path}, which is not a checkpoint of nequip")
    return _describe(
        checkpoint["hyper_parameters"]["model"], _version(checkpoint), (*visited, path.resolve())
    )


def _averaged(
    state: Mapping[str, Any], weights: State, description: Description, extra: Mapping[str, Any] | None
) -> State:
    """Return the weights with the trained ones replaced by their moving averages, a list in the network's order."""
    if extra is not None and not extra.get("is_holding_ema_weights", True):
        raise ModelFileError(
            "it was written while weights and averages were swapped, and nequip cannot load it either"
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
    # Linear layers in a row have a numbered list of matrices.
    return (
        last == "weight" or last in description.trained or (last not in _OPTIONAL and ".mlp.weights." in name)
    )
