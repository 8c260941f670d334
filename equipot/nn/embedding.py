"""The first features: a vector of scalars per species."""

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn


class TypeEmbedding(nn.Module):
    """Species (n_atoms,) to features (n_atoms, mul) of irreps `mul x 0e`; no position enters."""

    def __init__(self, n_species: int, mul: int) -> None:
        super().__init__()
        self.irreps_out = Irreps(f"{mul}x0e")
        self.weight = nn.Parameter(torch.randn(n_species, mul, dtype=torch.float64))

    def forward(self, species: Tensor) -> Tensor:
        return self.weight.index_select(0, species)
