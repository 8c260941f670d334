"""A model file in memory. torch is imported only where a model runs by torch, because that takes seconds."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from equipot import native
from equipot.model_file import selftest
from equipot.model_file.archive import read_metadata, read_program
from equipot.model_file.metadata import ModelMetadata
from equipot.model_file.structure import Derivatives, Results, Sizes, Structure
from equipot.quantities import ENERGIES
from equipot.runtime import RuntimeModel

if TYPE_CHECKING:
    import torch

    from equipot.contract import Inputs
    from equipot.network.derivatives import Prediction

Engine = Literal["runtime", "torch"]
CPU = "cpu"


@dataclass(frozen=True)
class LoadedModel:
    """A model file in memory.

    Attributes:
        device: "cpu", "cuda:0", ….
        runtime: the potential for the runtime; None on a GPU, for older files, and without compiled kernels.
        self_test_difference: largest difference from the results that the file holds, see `selftest.verify`.
    """

    metadata: ModelMetadata
    path: Path
    device: str
    runtime: RuntimeModel | None
    self_test_difference: float = field(init=False)

    def __post_init__(self) -> None:
        difference = selftest.verify(
            self.compute, self.metadata.self_test, self.metadata.cutoff, self.metadata.dtype, str(self.path)
        )
        object.__setattr__(self, "self_test_difference", difference)

    @cached_property
    def module(self) -> Any:
        """The potential as a torch module, which maps `Inputs` to `Outputs`; loaded when it is first used."""
        from equipot.model_file.script import load_script

        return load_script(self.path, self.device)

    @cached_property
    def sizes(self) -> Sizes:
        """The sizes of the network."""
        program = read_program(self.path) or {}
        if "sizes" in program:
            return Sizes(**program["sizes"])
        from equipot.model_file.module import sizes_of

        return sizes_of(self.module)

    @property
    def place(self) -> "torch.device | None":
        """Where `compute` expects edges: tensors on this device; None: arrays of numpy."""
        if self.device == CPU:
            return None
        import torch

        return torch.device(self.device)

    @property
    def reads_positions(self) -> bool:
        """Whether the energy depends on positions in other ways than through the edges."""
        return self.runtime is None and bool(getattr(self.module, "reads_positions", False))

    def compute(self, structure: Structure, derivatives: bool = True) -> Results:
        """Return the results of a structure; shapes and units are those of `Structure`, `Results` and `Derivatives`.

        Without `derivatives`, only the outputs of the network are computed.
        """
        if self.runtime is None:
            from equipot.model_file.script import compute

            return compute(self.module, structure, self.device, derivatives)
        index, vectors = structure.edge_index, structure.edge_vectors
        e = self.runtime.evaluate(structure.species, index, vectors, native.threads(), derivatives)
        outputs = {ENERGIES: e.energies, **e.outputs}
        if e.edge_gradient is None:
            return Results(outputs)
        n_atoms = len(structure.species)
        forces, virial = native.collect(e.edge_gradient, vectors, index, None, n_atoms)
        return Results(outputs, Derivatives(forces, virial[0], e.edge_gradient))

    def predict(self, inputs: "Inputs") -> "Prediction":
        """Return energies, forces and virial of one graph or several, by the runtime where there is one."""
        from equipot.network.derivatives import predict
        from equipot.runtime import predict as runtime

        if self.runtime is not None:
            return runtime.predict(self.runtime, inputs)
        return predict(self.module, inputs)


def load_model(
    path: str | Path, device: "str | torch.device" = CPU, engine_name: Engine = "runtime"
) -> LoadedModel:
    """Load a model file and run its self-test.

    engine_name: "runtime" evaluates the model by the runtime where that is possible, "torch" always by torch.

    On the CPU, this makes the process keep the memory that it frees, see `native.keep_memory`.

    Raises:
        ModelFileError: the file is not a model file, is damaged, has a newer format, or fails its self-test.
    """
    path = Path(path).expanduser()
    metadata = read_metadata(path)
    where = str(device)
    if where != CPU:
        from equipot.model_file.script import checked_device

        where = checked_device(where, str(path))
    runtime = None
    if where == CPU:
        native.keep_memory()
        if engine_name == "runtime" and native.available() and read_program(path) is not None:
            runtime = RuntimeModel.from_file(path)
    return LoadedModel(metadata, path, where, runtime)
