"""nequip's networks, compiled as `nequip-compile` does, and stored for later runs."""

import hashlib
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

# nequip compares compiled and eager numbers within an absolute 5e-5 eV, which a network of random weights can
# miss by rounding after minutes of compilation; `in_mode` compares relative to the size of the forces.
os.environ.setdefault("NEQUIP_SKIP_AOTI_MODEL_CHECK", "1")

import nequip
import torch
from nequip.data import AtomicDataDict
from nequip.model.inference_models import load_compiled_model
from nequip.scripts._compile_utils import COMPILE_TARGET_DICT
from nequip.utils.aot import aot_export_model
from nequip.utils.global_state import get_latest_global_state
from nequip.utils.versions import _TORCH_GE_2_10

from benchmarks.peers.job import select_device
from benchmarks.silicon import CUTOFF

from .nequip_network import Data


def in_mode(request: dict[str, Any], eager: torch.nn.Module, data: Data) -> Callable[[Data], Data]:
    """Return the network as the request's mode runs it. Raises RuntimeError for a mode that fails or is inaccurate."""
    mode, _, _ = request["mode"].partition("+")
    device = select_device(request)
    if mode == "eager":
        return eager
    if mode == "torchscript" and _TORCH_GE_2_10:
        raise RuntimeError(
            f"nequip-compile refuses TorchScript from torch 2.10 on (this is {torch.__version__})"
        )
    expected = eager(data.copy())[AtomicDataDict.FORCE_KEY].detach()
    file = _package(request)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        # Under another name first: an interrupted compilation leaves no half-written package to reuse.
        unfinished = file.with_name("unfinished-" + file.name)
        save = _save_torchscript if mode == "torchscript" else _save_aotinductor
        save(eager, data, unfinished, device)
        unfinished.replace(file)
    target = COMPILE_TARGET_DICT["ase"]
    model, _ = load_compiled_model(str(file), device, list(target["input"]), list(target["output"]))
    forces = model(data.copy())[AtomicDataDict.FORCE_KEY].detach()
    difference = float((forces - expected).abs().max() / expected.abs().max())
    if not difference < 1e-3:
        raise RuntimeError(
            f"the {request['mode']} model's forces differ from the eager one's by {difference:.1e}"
        )
    return model


def _package(request: dict[str, Any]) -> Path:
    """Return the file of a compiled network; the code depends on versions, processor and, on a CPU, threads."""
    processor = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        flags = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE)
        processor += flags.group(1) if flags else ""
    if (device := select_device(request)).type == "cuda":
        processor += f"{torch.cuda.get_device_name(device)} {torch.version.cuda}"
    extension = "pth" if request["mode"] == "torchscript" else "pt2"
    parts = [
        f"nequip-{nequip.__version__}",
        f"torch-{torch.__version__}",
        request["preset"],
        request["variant"],
        f"r{CUTOFF:g}",
        f"{torch.get_num_threads()}t"
        if device.type == "cpu"
        else request["mode"].replace("aotinductor", "cuda"),
        hashlib.sha256(processor.encode()).hexdigest()[:8],
    ]
    return Path(request["work"]) / ("-".join(parts) + f".nequip.{extension}")


def _metadata(model: torch.nn.Module) -> dict[str, str]:
    values = {**model.metadata, **get_latest_global_state(only_metadata_related=True)}
    return {k: str(int(v)) if isinstance(v, bool) else v for k, v in values.items()}


def _save_torchscript(model: torch.nn.Module, data: Data, file: Path, device: torch.device) -> None:
    from nequip.model.inference_models.torchscript import save_torchscript_model

    save_torchscript_model(model, _metadata(model), str(file), device)


def _save_aotinductor(model: torch.nn.Module, data: Data, file: Path, device: torch.device) -> None:
    """Do what `nequip-compile --mode aotinductor --target ase` does, for a model in memory."""
    from nequip.utils.aoti_metadata import (
        NEQUIP_AOTI_INPUTS_KEY,
        NEQUIP_AOTI_OUTPUTS_KEY,
        serialize_aoti_keys,
    )

    target = COMPILE_TARGET_DICT["ase"]
    metadata = _metadata(model)
    metadata[NEQUIP_AOTI_INPUTS_KEY] = serialize_aoti_keys(target["input"])
    metadata[NEQUIP_AOTI_OUTPUTS_KEY] = serialize_aoti_keys(target["output"])
    dims = {
        name: torch.export.Dim(f"num_{name}s", min=2, max=torch.inf) for name in ("graph", "node", "edge")
    }
    aot_export_model(
        model=model,
        device=device,
        input_fields=target["input"],
        output_fields=target["output"],
        data=target["data_settings"](data.copy()),
        batch_map=target["batch_map_settings"](dims),
        output_path=str(file),
        inductor_configs={"aot_inductor.metadata": metadata},
    )
