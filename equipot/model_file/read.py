"""The reading of a model file, with checks of its format, its operations and its self-test."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from equipot.contract import ENERGIES, Inputs, Outputs
from equipot.errors import ModelFileError
from equipot.model_file import selftest, torchscript
from equipot.model_file.metadata import METADATA, PROGRAM, ModelMetadata
from equipot.model_file.module import TOLERANCE
from equipot.model_file.operations import refuse_foreign_operations
from equipot.network.derivatives import Prediction, energies_of, predict
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec
from equipot.network.state import current_names
from equipot.ops import Topology, engine
from equipot.runtime import RuntimeModel
from equipot.runtime import predict as runtime

Engine = Literal["runtime", "torch"]


@dataclass(frozen=True)
class LoadedModel:
    """A model file in memory.

    Attributes:
        module: the potential, which maps `Inputs` to `Outputs`.
        runtime: the same potential for the runtime; None on a GPU, for older files, and without compiled kernels.
    """

    module: nn.Module
    metadata: ModelMetadata
    path: Path
    device: torch.device
    self_test_difference: float
    runtime: RuntimeModel | None = None

    def predict(self, inputs: Inputs) -> Prediction:
        """Return energies, forces and virial of one graph or several, by the runtime where there is one."""
        if self.runtime is not None:
            return runtime.predict(self.runtime, inputs)
        return predict(self.module, inputs)

    def outputs(self, inputs: Inputs) -> Outputs:
        """Return the outputs of one graph or several, without derivatives."""
        if self.runtime is not None:
            return runtime.energies(self.runtime, inputs)
        return energies_of(self.module, inputs)


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


def read_metadata(path: str | Path) -> ModelMetadata:
    """Return the metadata of a model file, without loading its network.

    Raise ModelFileError if the file is not a model file, is damaged, or has a newer format.
    """
    path = Path(path)
    if not path.exists():
        raise ModelFileError(f"{path}: no such file; expected a model written by `equipot export`")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith("/extra/" + METADATA)]
            if len(names) != 1:
                raise ModelFileError(
                    f"{path}: not an equipot model file; expected one written by `equipot export`"
                )
            broken = archive.testzip()
            if broken:
                raise ModelFileError(f"{path}: damaged at '{broken}'; copy or export it again")
            metadata = ModelMetadata.from_json(archive.read(names[0]), str(path))
            refuse_foreign_operations(archive, str(path))
    except zipfile.BadZipFile:
        raise ModelFileError(
            f"{path}: not a model file, or a damaged one (no readable archive); copy or export it again"
        ) from None
    return metadata


@torch.inference_mode(False)  # weights loaded in inference mode could not have gradients
def load_model(
    path: str | Path, device: str | torch.device = "cpu", engine_name: Engine = "runtime"
) -> LoadedModel:
    """Load a model file and run its self-test.

    engine_name: "runtime" evaluates the model by the runtime where that is possible, "torch" always by torch.

    On the CPU, this makes the process keep the memory that it frees, see `ops.engine.keep_memory`.

    Raises:
        ModelFileError: the file is not a model file, is damaged, has a newer format, or fails its self-test.
    """
    path = Path(path).expanduser()
    metadata = read_metadata(path)
    try:
        where = torch.device(device)
    except RuntimeError:
        raise ModelFileError(f"{path}: '{device}' is not a device; expected cpu, cuda or cuda:N") from None
    if where.type == "cuda" and not torch.cuda.is_available():
        raise ModelFileError(
            f"{path}: device '{device}' was requested, but torch sees no CUDA device; use 'cpu'"
        )
    if where.type == "cpu":
        engine.keep_memory()
    try:
        module: Any = torchscript.load(path, where).eval()
    except RuntimeError as error:
        raise ModelFileError(f"{path}: torch cannot load it: {_first_line(error)}") from None
    if module.format_version < 3:
        module = _OfFormat2(module)
    worst = selftest.verify(
        module, metadata.self_test, metadata.cutoff, TOLERANCE[metadata.dtype], where, str(path)
    )
    usable = engine_name == "runtime" and where.type == "cpu" and engine.available() and _has_program(path)
    return LoadedModel(module, metadata, path, where, worst, RuntimeModel.from_file(path) if usable else None)


def _has_program(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/extra/" + PROGRAM) for name in archive.namelist())


def load_potential(path: str | Path) -> Potential:
    """Return the trainable potential of a model file, with its radial networks in place of their tables.

    Raise ModelFileError as `load_model` does.
    """
    loaded = load_model(path)
    potential = Potential(PotentialSpec.from_dict(loaded.metadata.spec))
    module: Any = loaded.module
    # The state of a TorchScript module also lists constants; only the tensors of the eager network's state are used.
    stored = current_names({**module.potential.state_dict(), **module.radial_weights})
    state = {name: stored[name] for name in potential.state_dict()}
    potential.load_state_dict(state)
    return potential


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
