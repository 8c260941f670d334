"""Forces and virial of a model of the runtime, in the form of `network.derivatives.predict`."""

import torch

from equipot import native
from equipot.contract import Inputs
from equipot.network.derivatives import Prediction, collected
from equipot.quantities import ENERGIES
from equipot.runtime.model import Evaluation, RuntimeModel


def predict(model: RuntimeModel, inputs: Inputs) -> Prediction:
    """Evaluate a graph or a batch of graphs with torch's number of threads. Their tensors are on the CPU."""
    n_graphs = inputs.cell.shape[0]
    result = model.evaluate(
        inputs.species.numpy(),
        inputs.edge_index.numpy(),
        inputs.edge_vectors.detach().numpy(),
        threads=native.threads(),
    )
    assert result.edge_gradient is not None
    gradient, atomic = torch.from_numpy(result.edge_gradient), torch.from_numpy(result.energies)
    forces, virial = collected(gradient, inputs)
    energy = atomic.new_zeros(n_graphs).index_add(0, inputs.graph_of_atom, atomic)
    return Prediction({ENERGIES: atomic, **_tensors(result)}, energy, forces, virial, gradient)


def _tensors(result: Evaluation) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in result.outputs.items()}
