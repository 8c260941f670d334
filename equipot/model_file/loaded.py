"""A model file in memory. torch is imported only where a model runs by torch, because that takes seconds."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from equipot import native
from equipot.errors import ModelFileError
from equipot.model_file import selftest
from equipot.model_file.archive import read_metadata, read_program
from equipot.model_file.metadata import ModelMetadata
from equipot.model_file.structure import (
    Derivatives,
    PredictedErrors,
    Reals,
    Results,
    Sizes,
    Structure,
)
from equipot.quantities import ENERGIES, GAMMA
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
        """The device of the tensors that `compute` expects as edges; None for arrays of numpy."""
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

    @property
    def predicts_errors(self) -> bool:
        """Whether `predicted_errors` can be called."""
        return self.runtime is not None and self.runtime.n_members > 0

    def predicted_errors(self, structure: Structure) -> PredictedErrors:
        """Return how wrong the energy and the forces of a structure may be.

        The members of the model's committee (`network.members`) differ from it by the force ΔF_k on an atom. The
        predicted error is the root mean square of `|ΔF_k|`, times the extrapolation grade of the atom if that is
        above 1. Each member costs about half of a calculation of forces.

        Raises:
            ModelFileError: the model has no members, or does not run by the runtime.
        """
        if self.runtime is None or not self.predicts_errors:
            what = (
                "predicts no errors; add them with `equipot uncertainty MODEL TRAINING-SET --calibrate OTHER-FRAMES "
                "-o MODEL`"
                if self.runtime is not None or not self.metadata.spec.get("members")
                else f"predicts errors only on the CPU, by the engine 'runtime'; here it is on {self.device}"
            )
            raise ModelFileError(f"{self.path}: the model {what}")
        index, vectors = structure.edge_index, structure.edge_vectors
        squares = np.zeros(len(structure.species))

        def add(_k: int, gradient: Reals) -> None:
            forces, _ = native.collect(gradient, vectors, index, None, len(squares))
            np.add(squares, np.square(forces).sum(axis=1), out=squares)

        e = self.runtime.evaluate(
            structure.species, index, vectors, native.threads(), deviation=True, member=add
        )
        assert e.deviation is not None
        spread = np.sqrt(squares / self.runtime.n_members)
        grades = e.outputs.get(GAMMA)
        if grades is not None:
            spread = np.where(np.isinf(grades), np.inf, spread * np.clip(grades, 1, 1e300))
        return PredictedErrors(float(np.linalg.norm(e.deviation)), spread)

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
