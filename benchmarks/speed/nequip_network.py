"""nequip's networks for the speed benchmark, and their input.

`variant` says which network: "preset" is nequip's own; "narrow" has self-connections that take one number of the type
embedding, its mean, instead of all 32. With one species both express the same functions, and "narrow" has as many
weights as equipot's network, which has one matrix per species.
"""

import functools
import sys
from typing import Any

import ase
import torch
from e3nn.o3 import FullyConnectedTensorProduct, Irreps
from nequip.data import AtomicDataDict, from_ase
from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform
from nequip.model import NequIPGNNModel
from nequip.model.modify_utils import modify
from nequip.utils.compile import conditional_torchscript_mode
from nequip.utils.global_state import set_global_state

from benchmarks.peers.job import select_device
from benchmarks.silicon import CUTOFF, NEIGHBOURS, silicon

set_global_state()  # precisions and compiler settings, before any network is built

PRESETS = {
    "S": {"num_layers": 2, "l_max": 1, "num_features": [128, 64]},
    "M": {"num_layers": 4, "l_max": 2, "num_features": [128, 64, 32]},
    "L": {"num_layers": 6, "l_max": 3, "num_features": [128, 64, 32, 32]},
}
Data = dict[str, torch.Tensor]


def network(request: dict[str, Any], compile_mode: str = "eager") -> torch.nn.Module:
    """Return the network with random weights that the request's preset, variant and mode describe."""
    model = NequIPGNNModel(
        seed=1,
        model_dtype="float32",
        type_names=["Si"],
        r_max=CUTOFF,
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
        for module in list(model.modules()):
            if isinstance(getattr(module, "sc", None), FullyConnectedTensorProduct):
                module.sc = _NarrowSelfConnection(module.sc)
    if request["mode"].endswith("+openequivariance"):
        # Kernels of the convolutions, for GPUs alone; OpenEquivariance is installed beside nequip.
        model = modify(model, [{"modifier": "enable_OpenEquivariance"}])
    return model.to(select_device(request))


class _NarrowSelfConnection(torch.nn.Module):
    """A self-connection that takes the mean of the type embedding."""

    def __init__(self, original: FullyConnectedTensorProduct) -> None:
        super().__init__()
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        # As nequip's builder does: a scripted product would be traced for one number of atoms.
        with conditional_torchscript_mode(False):
            self.product = FullyConnectedTensorProduct(
                original.irreps_in1, Irreps("1x0e"), original.irreps_out
            )
        torch.set_default_dtype(default)

    def forward(self, x: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        return self.product(x, attributes.mean(dim=1, keepdim=True))


def n_parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def atoms(repeats: Any, seed: int = 0) -> ase.Atoms:
    positions, cell = silicon(repeats, seed)
    return ase.Atoms(f"Si{len(positions)}", positions=positions, cell=cell, pbc=True)


def graph(structure: ase.Atoms, device: torch.device) -> Data:
    """Return what nequip's calculator gives to the network; neighbours are searched on a GPU if nequip can do so."""
    data = ChemicalSpeciesToAtomTypeMapper(["Si"], {"Si": "Si"})(from_ase(structure))
    find_neighbours = NeighborListTransform(r_max=CUTOFF, backend=search_name(device))
    if find_neighbours.backend == "alchemiops":
        return find_neighbours(AtomicDataDict.to_(data, device))
    return AtomicDataDict.to_(find_neighbours(data), device)


@functools.cache
def search_name(device: torch.device) -> str:
    """Return nequip's name of the neighbour search that serves on the device."""
    if device.type == "cpu":
        return "matscipy"
    dimer = ase.Atoms("Si2", [[0, 0, 0], [0, 0, 2]], cell=[9, 9, 9], pbc=True)
    try:
        NeighborListTransform(r_max=3.0, backend="alchemiops")(AtomicDataDict.to_(from_ase(dimer), device))
    except Exception as error:  # not installed, or of a version that nequip does not know
        print(f"neighbours are searched on the CPU: {type(error).__name__}: {error}", file=sys.stderr)
        return "matscipy"
    return "alchemiops"
