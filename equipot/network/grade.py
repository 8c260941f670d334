"""The extrapolation grade: how far an atom is from those of the training set.

For each element, the features h of the training atoms before the last linear map have a mean μ and a covariance. The
grade of an atom is its Mahalanobis distance in units of that of the farthest training atom,

    γ = |A (h - μ)|,    AᵀA = S⁻¹/m²,

so training atoms have γ <= 1, as with the grade of moment tensor potentials (Podryabinkin & Shapeev, Comput. Mater.
Sci. 140, 171 (2017)). The covariance of each element is needed: one for all elements separates nothing (K. Lee et al.,
NeurIPS 2018, use this distance to find inputs unlike those of a training set).
"""

import torch
from torch import Tensor, nn

import equipot.ops.linear  # noqa: F401  registers equipot::linear
from equipot.network.program import Program
from equipot.quantities import GAMMA


class ExtrapolationGrade(nn.Module):
    """The grade of atoms from their features.

    Attributes:
        mean: (n_species, d), of the features.
        factor: (n_species, d * d), Aᵀ of each species, row by row.
        penalty: (n_species,), 0, or infinite for a species without training atoms; it is added to the grade.
    """

    mean: Tensor
    factor: Tensor
    penalty: Tensor
    blocks: Tensor

    def __init__(self, n_species: int, d: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.d = d
        self.register_buffer("mean", torch.zeros(n_species, d, dtype=dtype))
        self.register_buffer("factor", torch.zeros(n_species, d * d, dtype=dtype))
        self.register_buffer("penalty", torch.zeros(n_species, dtype=dtype))
        self.register_buffer("blocks", torch.tensor([[0, 1, d, 0, d, 0]]), persistent=False)

    def forward(self, features: Tensor, species: Tensor) -> Tensor:
        """Return the grade (n_atoms,) float64 of atoms with these features (n_atoms, d) and species (n_atoms,)."""
        lengths = self.whitened(features, species).to(torch.float64).square().sum(1).sqrt()
        return lengths + self.penalty.index_select(0, species)

    def whitened(self, features: Tensor, species: Tensor) -> Tensor:
        """Return A (h - μ), (n_atoms, d)."""
        centred = features - self.mean.index_select(0, species)
        return torch.ops.equipot.linear(centred, self.factor, species, self.blocks, self.d)

    @torch.jit.unused
    def write(self, program: Program, features: int) -> None:
        """Add the grade to a program as an output."""
        program.add(
            "grade",
            x=features,
            name=GAMMA,
            mean=program.real(self.mean),
            factor=program.real(self.factor),
            known=program.integers(torch.isfinite(self.penalty).unsqueeze(1)),
        )
