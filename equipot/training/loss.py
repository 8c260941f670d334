"""The training loss: weighted means over the labels that a batch has."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from equipot.config import LossConfig
from equipot.data.graph import Batch
from equipot.network.derivatives import Prediction
from equipot.quantities import LABELS, Quantity


@dataclass(frozen=True)
class Residual:
    """The prediction minus label of one quantity, for the graphs of a batch that have the label; float64.

    Attributes:
        error: (n, …) in the unit of the label; extensive quantities are divided by the number of atoms.
        reference: (n, …), the labels.
        scale: (n, 1, …), the factor by which the loss multiplies errors to give them the size of an energy; None: 1.
    """

    error: Tensor
    reference: Tensor
    scale: Tensor | None = None


Residuals = Mapping[str, Residual]  # by name of the quantity


def residuals(prediction: Prediction, batch: Batch) -> dict[str, Residual]:
    """Return the difference of a prediction from the labels of its batch, for each quantity."""
    n_atoms = batch.n_atoms.to(torch.float64).clamp(min=1)
    volume = batch.volume
    return {q.name: _residual(q, prediction, batch, n_atoms, volume) for q in LABELS}


def _residual(q: Quantity, prediction: Prediction, batch: Batch, n_atoms: Tensor, volume: Tensor) -> Residual:
    chosen = batch.labelled[q.name]
    scale = (volume / n_atoms)[chosen] if q.needs_volume else None
    if q.per == "atom":
        chosen = chosen[batch.inputs.graph_of_atom]
    reference = batch.labels[q.name][chosen]
    error = prediction.label(q.name, volume)[chosen] - reference
    by_graph = (-1, *(1 for _ in q.shape))
    if q.extensive:
        error = error / n_atoms[chosen].reshape(by_graph)
    return Residual(error, reference, None if scale is None else scale.reshape(by_graph))


class Loss:
    """The loss: weighted errors in eV and Å. Stress is multiplied by the volume per atom, which makes it an energy."""

    def __init__(self, config: LossConfig) -> None:
        self.config = config

    def weights(self, decay: float) -> dict[str, float]:
        """Return the weights after a `decay` of the learning rate, from 0 at its peak to 1 at its end."""
        return {q.name: self._weight(q.name, decay) for q in LABELS}

    def _weight(self, name: str, decay: float) -> float:
        end, start = getattr(self.config, name), getattr(self.config.initial, name)
        if start is None:
            start = 0.1 * end if name == "energy" else end
        return end if start == end else (1 - decay) * start + decay * end

    def __call__(self, residuals: Residuals, decay: float = 1.0) -> Tensor:
        """Return the loss, a float64 scalar; a quantity without labels in the batch adds nothing."""
        total = next(iter(residuals.values())).error.new_zeros(())
        weights = self.weights(decay)
        for name, r in residuals.items():
            if weights[name] and r.error.numel():
                error = r.error if r.scale is None else r.error * r.scale
                stratified = name == "forces" and self.config.kind == "stratified_huber"
                strata = _strata(r.reference) if stratified else None
                total = total + weights[name] * self._mean(error, strata)
        return total

    def _mean(self, error: Tensor, delta_factor: Tensor | None = None) -> Tensor:
        """Return the mean loss of errors: squares, or twice Huber's function, which is the square of a small error."""
        if self.config.kind == "mse":
            return error.square().mean()
        delta = self.config.huber_delta if delta_factor is None else self.config.huber_delta * delta_factor
        size = error.abs()
        return torch.where(size < delta, error.square(), delta * (2 * size - delta)).mean()


def _strata(reference: Tensor) -> Tensor:
    """Return factors of Huber's delta, smaller for larger forces (MACE-MP-0, Batatia et al. 2023, appendix)."""
    size = reference.norm(dim=1, keepdim=True)
    factor = torch.ones_like(size)
    for bound, value in ((100.0, 0.7), (200.0, 0.4), (300.0, 0.1)):
        factor = torch.where(size >= bound, value, factor)
    return factor
