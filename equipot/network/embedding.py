"""The first features: a vector of scalars per species."""

import torch
from torch import Tensor, nn

from equipot.irreps import Irreps
from equipot.network.layer import Layer, MatrixView
from equipot.network.program import Program


class TypeEmbedding(Layer):
    """The map from species (n_atoms,) to scalar features (n_atoms, mul) of irreps `mul x 0e`."""

    part = "embedding"

    def __init__(self, n_species: int, mul: int) -> None:
        super().__init__()
        self.irreps_out = Irreps(f"{mul}x0e")
        self.weight = nn.Parameter(torch.randn(n_species, mul, dtype=torch.float64))

    def forward(self, species: Tensor) -> Tensor:
        return self.weight.index_select(0, species)

    @torch.jit.unused
    def write(self, program: Program) -> int:
        """Add the embedding to a program; return its value."""
        out = program.value(self.irreps_out.dim)
        program.add("embed", out=out, weight=program.real(self.weight))
        return out

    @torch.jit.unused
    def matrices(self) -> dict[str, list[MatrixView]]:
        return {}  # its input is species, not features
