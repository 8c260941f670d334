"""The training loss: weighted means over the labels that a batch has."""

from typing import NamedTuple

import torch
from torch import Tensor

from equipot.config import LossConfig
from equipot.data.graph import Batch
from equipot.network.derivatives import Prediction


class Weights(NamedTuple):
    """What the mean squares (or Huber's measure) of the errors count in the loss."""

    energy: float
    forces: float
    stress: float


class Residuals(NamedTuple):
    """Prediction minus label, where there is a label; float64."""

    energy_per_atom: Tensor  # (n_energies,) eV
    forces: Tensor  # (n_atoms_with_forces, 3) eV/Å
    reference_forces: Tensor  # (n_atoms_with_forces, 3) eV/Å
    stress: Tensor  # (n_stresses, 3, 3) eV/Å³
    volume_per_atom: Tensor  # (n_stresses,) Å³


def residuals(prediction: Prediction, batch: Batch) -> Residuals:
    """Errors of a prediction on a batch."""
    n_atoms = batch.n_atoms.to(torch.float64)
    energy = ((prediction.energy - batch.energy) / n_atoms.clamp(min=1))[batch.has_energy]
    with_forces = batch.has_forces[batch.graph_of_atom]
    some = batch.has_stress
    stress = -prediction.virial[some] / batch.volume[some][:, None, None]
    return Residuals(
        energy,
        (prediction.forces - batch.forces)[with_forces],
        batch.forces[with_forces],
        stress - batch.stress[some],
        batch.volume[some] / n_atoms[some],
    )


class Loss:
    """Energy per atom, forces and stress in eV and Å; the stress enters as stress × volume per atom (eV)."""

    def __init__(self, config: LossConfig) -> None:
        self.config = config

    def weights(self, fallen: float) -> Weights:
        """Those in force when the learning rate has fallen by this part (0 to 1) of its height."""
        c, initial = self.config, self.config.initial
        start = (0.1 * c.energy if initial.energy is None else initial.energy, initial.forces, initial.stress)
        end = (c.energy, c.forces, c.stress)
        return Weights(
            *(e if s is None else (1 - fallen) * s + fallen * e for s, e in zip(start, end, strict=True))
        )

    def __call__(self, r: Residuals, fallen: float = 1.0) -> Tensor:
        """Scalar float64; a kind of label that the batch lacks adds nothing."""
        weights = self.weights(fallen)
        total = r.energy_per_atom.new_zeros(())
        if weights.energy and r.energy_per_atom.numel():
            total = total + weights.energy * self._mean(r.energy_per_atom)
        if weights.forces and r.forces.numel():
            strata = _strata(r.reference_forces) if self.config.kind == "stratified_huber" else None
            total = total + weights.forces * self._mean(r.forces, strata)
        if weights.stress and r.stress.numel():
            total = total + weights.stress * self._mean(r.stress * r.volume_per_atom[:, None, None])
        return total

    def _mean(self, error: Tensor, delta_factor: Tensor | None = None) -> Tensor:
        if self.config.kind == "mse":
            return error.square().mean()
        delta = self.config.huber_delta if delta_factor is None else self.config.huber_delta * delta_factor
        size = error.abs()
        return torch.where(size < delta, 0.5 * error.square(), delta * (size - 0.5 * delta)).mean()


def _strata(reference: Tensor) -> Tensor:
    """Huber's delta falls with the size of the reference force (MACE-MP-0, Batatia et al. 2023, appendix)."""
    size = reference.norm(dim=1, keepdim=True)
    factor = torch.ones_like(size)
    for bound, value in ((100.0, 0.7), (200.0, 0.4), (300.0, 0.1)):
        factor = torch.where(size >= bound, value, factor)
    return factor
