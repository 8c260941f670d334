"""SevenNet's own calculator in float32, and in float64; needs sevenn."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ase import Atoms

warnings.filterwarnings("ignore")
from sevenn import _keys as keys  # noqa: E402
from sevenn.atom_graph_data import AtomGraphData  # noqa: E402
from sevenn.calculator import SevenNetCalculator  # noqa: E402
from sevenn.train.dataload import unlabeled_atoms_to_graph  # noqa: E402


class DoubleCalculator(SevenNetCalculator):
    """SevenNet's calculator in float64: weights, edges, and one-hot vectors, which SevenNet makes in float32."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.model.double()
        for name, key in (("onehot_idx_to_onehot", keys.NODE_ATTR), ("one_hot_modality", keys.MODAL_ATTR)):
            module = self.model._modules.get(name)
            if module is not None:
                module.register_forward_hook(_as_double(keys.NODE_FEATURE, key))

    def calculate(
        self, atoms: Atoms, properties: Any = ("energy",), system_changes: Any = ("positions",)
    ) -> None:
        self.atoms = atoms.copy()
        graph = unlabeled_atoms_to_graph(atoms, self.cutoff, with_shift=False)
        data = AtomGraphData.from_numpy_dict(dict(graph))
        for key, value in graph.items():
            if isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.floating):
                data[key] = torch.from_numpy(np.asarray(value, dtype=np.float64)).reshape(data[key].shape)
        if self.modal:
            data[keys.DATA_MODALITY] = self.modal
        self.results = self.output_to_results(self.model(data))


def _as_double(*names: str) -> Callable[..., Any]:
    def hook(module: torch.nn.Module, arguments: Any, data: Any) -> Any:
        for name in names:
            if name in data:
                data[name] = data[name].double() if data[name].is_floating_point() else data[name]
        return data

    return hook


def calculator(model: str, modality: str | None, dtype: str) -> SevenNetCalculator:
    """Return the calculator of a checkpoint or of a shipped model's name, on the CPU."""
    kind = {"float32": SevenNetCalculator, "float64": DoubleCalculator}[dtype]
    return kind(model, device="cpu", modal=modality)
