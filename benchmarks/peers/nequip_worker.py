"""nequip's side of the speed benchmark; runs in an environment of its own, started by `speed.py`.

`variant` says which network: "preset" is nequip's own; "narrow" has its self-connections replaced by ones that
take one number of the type embedding, its mean, instead of all 32. With one species that changes nothing a
network can express, and leaves it with the weights of equipot's, which has one matrix per species.
"""

import functools
import hashlib
import os
import platform
import re
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# nequip compares compiled and eager numbers within an absolute 5e-5 eV, which a network of random weights can
# miss by rounding after minutes of compilation; `_compiled` below compares relative to the forces' size.
os.environ.setdefault("NEQUIP_SKIP_AOTI_MODEL_CHECK", "1")

import ase
import nequip
import torch
from e3nn.o3 import FullyConnectedTensorProduct, Irreps
from nequip.data import AtomicDataDict, from_ase
from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform
from nequip.model import NequIPGNNModel
from nequip.model.inference_models import load_compiled_model
from nequip.model.modify_utils import modify
from nequip.scripts._compile_utils import COMPILE_TARGET_DICT
from nequip.utils.aot import aot_export_model
from nequip.utils.compile import conditional_torchscript_mode
from nequip.utils.global_state import get_latest_global_state, set_global_state
from nequip.utils.versions import _TORCH_GE_2_10

from .serve import Job, device_of, serve
from .silicon import labels, silicon

PRESETS = {
    "S": {"num_layers": 2, "l_max": 1, "num_features": [128, 64]},
    "M": {"num_layers": 4, "l_max": 2, "num_features": [128, 64, 32]},
    "L": {"num_layers": 6, "l_max": 3, "num_features": [128, 64, 32, 32]},
}
NEIGHBOURS = 28.0
Data = dict[str, torch.Tensor]


def main() -> None:
    set_global_state()
    try:
        oeq = version("openequivariance")
    except PackageNotFoundError:
        oeq = "not installed"
    serve(prepare, {"nequip": nequip.__version__, "torch": torch.__version__, "oeq": oeq})


def prepare(request: dict[str, Any]) -> Job:
    """A job of the task that the request names."""
    tasks = {"inference": _inference, "training": _training, "scaling": _scaling, "search": _search}
    return tasks[request["task"]](request)


def _model(request: dict[str, Any], compile_mode: str = "eager") -> torch.nn.Module:
    model = NequIPGNNModel(
        seed=1,
        model_dtype="float32",
        type_names=["Si"],
        r_max=request["cutoff"],
        **PRESETS[request["preset"]],
        parity=False,
        type_embed_num_features=32,
        radial_mlp_depth=1,
        radial_mlp_width=128,
        num_bessels=8,
        polynomial_cutoff_p=6,
        avg_num_neighbors=NEIGHBOURS,
        per_type_energy_scales=1.0,
        per_type_energy_shifts=0.0,
        compile_mode=compile_mode,
    )
    if request["variant"] == "narrow":
        _narrow(model)
    if request["mode"].endswith("+openequivariance"):
        # For the convolutions; it is installed beside nequip and runs on GPUs alone.
        model = modify(model, [{"modifier": "enable_OpenEquivariance"}])
    return model.to(device_of(request))


class _OneChannel(torch.nn.Module):
    """A self-connection that takes the mean of the type embedding."""

    def __init__(self, old: FullyConnectedTensorProduct) -> None:
        super().__init__()
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        # As nequip's builder does: a scripted product would be traced for one number of atoms.
        with conditional_torchscript_mode(False):
            self.product = FullyConnectedTensorProduct(old.irreps_in1, Irreps("1x0e"), old.irreps_out)
        torch.set_default_dtype(default)

    def forward(self, x: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        return self.product(x, attributes.mean(dim=1, keepdim=True))


def _narrow(model: torch.nn.Module) -> None:
    for module in list(model.modules()):
        if isinstance(getattr(module, "sc", None), FullyConnectedTensorProduct):
            module.sc = _OneChannel(module.sc)


def _size(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _atoms(repeats: Any, seed: int = 0) -> ase.Atoms:
    positions, cell = silicon(repeats, seed)
    return ase.Atoms(f"Si{len(positions)}", positions=positions, cell=cell, pbc=True)


def _graph(atoms: ase.Atoms, cutoff: float, device: torch.device) -> Data:
    """What nequip's calculator hands to the model; on a GPU neighbours are searched there, where that is installed."""
    data = from_ase(atoms)
    data = ChemicalSpeciesToAtomTypeMapper(["Si"], {"Si": "Si"})(data)
    search = NeighborListTransform(r_max=cutoff, backend=_backend(device))
    if search.backend == "alchemiops":
        return search(AtomicDataDict.to_(data, device))
    return AtomicDataDict.to_(search(data), device)


@functools.cache
def _backend(device: torch.device) -> str:
    """nequip's name of what searches neighbours."""
    if device.type == "cpu":
        return "matscipy"
    two = ase.Atoms("Si2", [[0, 0, 0], [0, 0, 2]], cell=[9, 9, 9], pbc=True)
    try:
        NeighborListTransform(r_max=3.0, backend="alchemiops")(AtomicDataDict.to_(from_ase(two), device))
    except Exception as error:  # not installed, or of a version that nequip does not know
        print(f"neighbours are searched on the CPU: {type(error).__name__}: {error}", file=sys.stderr)
        return "matscipy"
    return "alchemiops"


def _inference(request: dict[str, Any]) -> Job:
    eager = _model(request).eval()
    data = _graph(_atoms(request["repeats"]), request["cutoff"], device_of(request))
    size = _size(eager)
    model = _in_mode(request, eager, data)
    n_atoms, n_edges = (
        data[AtomicDataDict.POSITIONS_KEY].shape[0],
        data[AtomicDataDict.EDGE_INDEX_KEY].shape[1],
    )
    return Job(lambda: model(data.copy()), n_atoms, n_edges, size)


def _in_mode(request: dict[str, Any], eager: torch.nn.Module, data: Data) -> Callable[[Data], Data]:
    mode, _, _ = request["mode"].partition("+")
    device = device_of(request)
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
    """Compiled code is for these versions, this processor, and (AOTInductor writes it into it) these threads."""
    processor = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        flags = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE)
        processor += flags.group(1) if flags else ""
    if (device := device_of(request)).type == "cuda":
        processor += f"{torch.cuda.get_device_name(device)} {torch.version.cuda}"
    extension = "pth" if request["mode"] == "torchscript" else "pt2"
    parts = [
        f"nequip-{nequip.__version__}",
        f"torch-{torch.__version__}",
        request["preset"],
        request["variant"],
        f"r{request['cutoff']:g}",
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
    """`nequip-compile --mode aotinductor --device … --target ase`, for a model in memory."""
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


def _scaling(request: dict[str, Any]) -> Job:
    eager = _model(request).eval()
    device = device_of(request)
    small = _graph(_atoms((2, 2, 2)), request["cutoff"], device)
    size = _size(eager)
    model = _in_mode(request, eager, small)
    for _ in range(2):
        model(small.copy())
    atoms = _atoms(request["repeats"])
    return Job(lambda: model(_graph(atoms, request["cutoff"], device)), len(atoms), 0, size, _backend(device))


def _search(request: dict[str, Any]) -> Job:
    atoms, device = _atoms(request["repeats"]), device_of(request)
    return Job(lambda: _graph(atoms, request["cutoff"], device), len(atoms), 0, 0, _backend(device))


def _training(request: dict[str, Any]) -> Job:
    compiled = request["mode"].startswith("torch.compile")
    device = device_of(request)
    model = _model(request, "compile" if compiled else "eager").train()
    frames, energies, forces = [], [], []
    for seed in range(request["frames"]):
        atoms = _atoms(request["repeats"], seed)
        energy, force = labels(len(atoms), seed)
        frames.append(_graph(atoms, request["cutoff"], torch.device("cpu")))
        energies.append(energy / len(atoms))
        forces.append(torch.from_numpy(force))
    batch = AtomicDataDict.to_(AtomicDataDict.batched_from_list(frames), device)
    energy_per_atom = torch.tensor(energies, dtype=torch.float64, device=device)
    force_labels = torch.cat(forces).to(device)
    n_atoms = batch[AtomicDataDict.NUM_NODES_KEY].to(torch.float64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        out = model(batch.copy())
        energy_error = out[AtomicDataDict.TOTAL_ENERGY_KEY].flatten() / n_atoms - energy_per_atom
        force_error = out[AtomicDataDict.FORCE_KEY] - force_labels
        loss = request["energy_weight"] * energy_error.square().mean() + force_error.square().mean()
        loss.backward()
        optimizer.step()

    if compiled:
        step()  # compiles, and that belongs to the preparation
    return Job(step, len(force_labels), batch[AtomicDataDict.EDGE_INDEX_KEY].shape[1], _size(model))


if __name__ == "__main__":
    main()
