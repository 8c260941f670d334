"""The TorchScript of a model file: its loading, with a check of its operations, and its evaluation by torch."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equipot.contract import Inputs, Outputs
from equipot.errors import ModelFileError
from equipot.model_file import torchscript
from equipot.model_file.loaded import load_model
from equipot.model_file.operations import refuse_foreign_operations
from equipot.model_file.structure import Derivatives, Results, Structure
from equipot.neighbours.arrays import Array, on_host
from equipot.network.derivatives import energies_of, predict
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec
from equipot.network.state import current_names
from equipot.ops import Topology
from equipot.quantities import ENERGIES


class _OfFormat2(nn.Module):
    """An adapter for networks of format 2, which map species and edges to atomic energies, to the present contract."""

    def __init__(self, script: Any) -> None:
        super().__init__()
        self.script = script
        self.potential, self.radial_weights = script.potential, script.radial_weights
        self.format_version, self.feature_dims = script.format_version, script.feature_dims

    def forward(self, inputs: Inputs) -> Outputs:
        return {ENERGIES: self.script(inputs.species, inputs.edge_index, inputs.edge_vectors)}

    def topology(self, edge_index: Tensor, n_centres: int, n_atoms: int) -> Topology:
        return self.script.topology(edge_index, n_centres, n_atoms)

    def on_graph(self, inputs: Inputs, graph: Topology) -> Outputs:
        species, vectors = inputs.species, inputs.edge_vectors
        x = self.script.embed(species)
        for k in range(self.script.n_layers):
            x = self.script.layer(k, x, species, vectors, graph)
        return {ENERGIES: self.script.readout(x, species, vectors, graph)}


@torch.inference_mode(False)  # weights loaded in inference mode could not have gradients
def load_script(path: Path, device: str) -> Any:
    """Return the network of a model file on a device.

    Raise ModelFileError if torch cannot load it, or if it calls an operator that no model needs.
    """
    with zipfile.ZipFile(path) as archive:
        refuse_foreign_operations(archive, str(path))
    try:
        module: Any = torchscript.load(path, torch.device(device)).eval()
    except RuntimeError as error:
        raise ModelFileError(f"{path}: torch cannot load it: {_first_line(error)}") from None
    return _OfFormat2(module) if module.format_version < 3 else module


def checked_device(device: str, where: str) -> str:
    """Return the full name of a device; raise ModelFileError if it does not exist."""
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ModelFileError(f"{where}: '{device}' is not a device; expected cpu, cuda or cuda:N") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ModelFileError(
            f"{where}: device '{device}' was requested, but torch sees no CUDA device; use 'cpu'"
        )
    return str(chosen)


def inputs_of(structure: Structure, device: torch.device | str = "cpu") -> Inputs:
    """Return a structure as the input of a potential on a device."""

    def on_device(array: Array) -> Tensor:
        # A copy, because tensors cannot share the memory of arrays that are read-only.
        return (torch.from_numpy(np.array(array)) if isinstance(array, np.ndarray) else array).to(device)

    species = on_device(structure.species)
    return Inputs(
        species,
        on_device(structure.edge_index),
        on_device(structure.edge_vectors),
        on_device(structure.positions),
        on_device(structure.cell)[None],
        on_device(structure.pbc)[None],
        torch.zeros_like(species),
    )


# Forces are gradients, so they need autograd even if the caller has disabled it.
@torch.inference_mode(False)
@torch.enable_grad()
def compute(module: nn.Module, structure: Structure, device: str, derivatives: bool = True) -> Results:
    """Return the results of `LoadedModel.compute` by torch."""
    inputs = inputs_of(structure, device)
    if not derivatives:
        return Results({name: on_host(value) for name, value in energies_of(module, inputs).items()})
    p = predict(module, inputs)
    outputs = {name: on_host(value) for name, value in p.outputs.items()}
    return Results(outputs, Derivatives(*map(on_host, (p.forces, p.virial[0], p.edge_gradient))))


def load_potential(path: str | Path) -> Potential:
    """Return the trainable potential of a model file, with its radial networks in place of their tables.

    Raise ModelFileError as `load_model` does.
    """
    loaded = load_model(path, engine_name="torch")
    potential = Potential(PotentialSpec.from_dict(loaded.metadata.spec))
    # The state of a TorchScript module also lists constants; only the tensors of the eager network's state are used.
    stored = current_names({**loaded.module.potential.state_dict(), **loaded.module.radial_weights})
    state = {name: stored[name] for name in potential.state_dict()}
    potential.load_state_dict(state)
    return potential


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
