"""A model of torch-sim: batches of structures are relaxed or simulated together.

import torch_sim as ts
from equipot.torchsim import EquipotModel

relaxed = ts.optimize(structures, EquipotModel("model.pt"), optimizer=ts.fire)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.stress import voigt_6_to_full_3x3_stress

from equipot import native
from equipot.calculators.batch import Taken, checked, predict
from equipot.calculators.many import BATCH_EDGES
from equipot.errors import DataError
from equipot.model_file import LoadedModel, load_model
from equipot.species import SpeciesMap

try:
    from torch_sim.models.interface import ModelInterface
except ImportError as error:
    raise ImportError(
        f'equipot.torchsim needs torch-sim ({error}); install it with `pip install "equipot[torch-sim]"`'
    ) from None


class EquipotModel(ModelInterface):
    """A model file as a model of torch-sim.

    It gives "energy" (n_systems,) eV, "forces" (n_atoms, 3) eV/Å, "stress" (n_systems, 3, 3) eV/Å³, "energies"
    (n_atoms,) eV, and further outputs of the network, e.g. the extrapolation grades "gamma" (n_atoms,). The stress is
    NaN for systems without a volume (`neighbours.cell.volume_of`). A model on the CPU is evaluated by the runtime, with
    torch's number of threads. Neighbours are searched on the CPU.

    Args:
        model: path of a model file, or a model from `load_model`, which stays on its device.
        device: "cpu", "cuda", …; it must be that of the states.
        dtype: of the states and of the results. The network has the precision of its file.
        batch_edges: largest number of edges that are evaluated at once. It limits the memory.

    Raises:
        UnknownSpeciesError: the model does not know an element. As for the other errors, the sentence has the number of
            the system, counted from 0.
        NumericsError: positions or results are not finite.
        DataError: a periodic cell has no volume.
    """

    def __init__(
        self,
        model: str | Path | LoadedModel,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float64,
        batch_edges: int = BATCH_EDGES,
    ) -> None:
        super().__init__()
        self.model = model if isinstance(model, LoadedModel) else load_model(model, device)
        self.batch_edges = batch_edges
        self._species = SpeciesMap(self.model.metadata.type_names)
        self._device, self._dtype = torch.device(self.model.device), dtype
        self._compute_stress = self._compute_forces = True
        self._memory_scales_with = "n_atoms_x_density"

    def forward(self, state: Any, **_: Any) -> dict[str, torch.Tensor]:
        """Return the results of all systems of a state: a SimState, or a dictionary with its attributes."""
        batch, error = checked(_systems(state), self._species, self.model)
        if error is not None or batch is None:
            raise error or DataError("the state has no systems; expected one or more")
        predictions = list(predict(self.model, batch, self.batch_edges, _threads()))
        volumeless = np.full((3, 3), np.nan)
        stresses = [
            volumeless if p.stress is None else voigt_6_to_full_3x3_stress(p.stress) for p in predictions
        ]
        per_atom = {name: [p.outputs[name] for p in predictions] for name in predictions[0].outputs}
        return {
            "energy": self._tensor([p.energy for p in predictions]),
            "forces": self._tensor(np.concatenate([p.forces for p in predictions])),
            "stress": self._tensor(stresses),
            "energies": self._tensor(np.concatenate([p.energies for p in predictions])),
            **{name: self._tensor(np.concatenate(values)) for name, values in per_atom.items()},
        }

    def _tensor(self, values: Any) -> torch.Tensor:
        return torch.as_tensor(np.array(values), dtype=self._dtype, device=self._device)


def _threads() -> int:
    return native.threads() if native.available() else 1


def _systems(state: Any) -> list[Taken]:
    """Return the systems of a state; its cells have the cell vectors in columns."""
    values = state if isinstance(state, Mapping) else vars(state)
    positions, cells, numbers = (
        values[name].detach().cpu().numpy() for name in ("positions", "cell", "atomic_numbers")
    )
    system_of_atom = values.get("system_idx")
    counts = [len(numbers)] if system_of_atom is None else torch.bincount(system_of_atom).tolist()
    pbc = np.array(np.broadcast_to(torch.as_tensor(values["pbc"]).cpu().numpy(), 3))
    ends = np.cumsum(counts)
    return [
        Taken(
            numbers[end - n : end],
            positions[end - n : end].astype(np.float64),
            cell.T.astype(np.float64),
            pbc,
            f"system {k}",
        )
        for k, (n, end, cell) in enumerate(zip(counts, ends, cells.reshape(-1, 3, 3), strict=True))
    ]
