"""Linear maps between irreps: one matrix per irrep, without bias (an isolated atom must stay zero)."""

import math

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

import equipot.ops.linear  # noqa: F401  registers equipot::linear
from equipot.nn.blocks import blocks


class _BlockMap(nn.Module):
    """Matrices from the blocks of `irreps_in` to those of the same irreps in `irreps_out`, side by side."""

    blocks: Tensor

    def __init__(self, irreps_in: Irreps, irreps_out: Irreps, n_species: int) -> None:
        super().__init__()
        self.irreps_in, self.irreps_out = irreps_in, irreps_out
        self.dim_out = int(irreps_out.dim)
        sources = {b.ir: b for b in blocks(irreps_in)}
        rows, weights, used = [], [torch.zeros(n_species, 0, dtype=torch.float64)], 0
        for target in blocks(irreps_out):
            source = sources.get(target.ir)
            if source is None or source.mul == 0 or target.mul == 0:
                continue
            rows.append([source.start, source.dim, source.mul, target.start, target.mul, used])
            # Keeps the variance of unit inputs.
            normal = torch.randn(n_species, source.mul, target.mul, dtype=torch.float64) / math.sqrt(
                source.mul
            )
            weights.append(normal.flatten(1))
            used += source.mul * target.mul
        self.weight = nn.Parameter(torch.cat(weights, dim=1))
        self.register_buffer("blocks", torch.tensor(rows, dtype=torch.int64).reshape(-1, 6), persistent=False)


class IrrepsLinear(_BlockMap):
    """The general equivariant linear map from `irreps_in` to `irreps_out`, all of which the input must hold."""

    def __init__(self, irreps_in: Irreps, irreps_out: Irreps) -> None:
        missing = [str(ir) for _, ir in irreps_out if ir not in {ir for _, ir in irreps_in}]
        if missing:
            raise ValueError(f"a linear map from '{irreps_in}' cannot give {', '.join(missing)}")
        super().__init__(irreps_in, irreps_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        # One matrix for all atoms: the species are not read, the blocks stand in for them.
        return torch.ops.equipot.linear(x, self.weight, self.blocks, self.blocks, self.dim_out)


class SelfConnection(_BlockMap):
    """A linear map of every atom's own features that depends on its species (Batzner et al. 2022, Methods).

    NequIP writes it as a tensor product with the species embedding; contracted, that is one matrix per species.
    Irreps that the input lacks come out as zero.
    """

    def forward(self, x: Tensor, species: Tensor) -> Tensor:
        """x (n_atoms, irreps_in.dim), species (n_atoms,) to (n_atoms, irreps_out.dim)."""
        return torch.ops.equipot.linear(x, self.weight, species, self.blocks, self.dim_out)
