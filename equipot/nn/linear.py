"""Linear maps between irreps: one matrix product per irrep, without bias (an isolated atom must stay zero)."""

import math

import torch
from e3nn.o3 import Irreps
from torch import Tensor, nn

from equipot.nn.blocks import blocks


def _normal(*shape: int, fan_in: int) -> nn.Parameter:
    """Weights that keep the variance of unit inputs."""
    return nn.Parameter(torch.randn(*shape, dtype=torch.float64) / math.sqrt(fan_in))


class _Mix(nn.Module):
    """One irrep: (n, dim · mul_in) to (n, dim · mul_out)."""

    def __init__(self, start: int, dim: int, mul_in: int, mul_out: int) -> None:
        super().__init__()
        self.start, self.dim, self.mul_in, self.mul_out = start, dim, mul_in, mul_out
        self.weight = _normal(mul_in, mul_out, fan_in=mul_in)

    def forward(self, x: Tensor) -> Tensor:
        block = x[:, self.start : self.start + self.dim * self.mul_in]
        return (block.reshape(-1, self.mul_in) @ self.weight).view(-1, self.dim * self.mul_out)


class IrrepsLinear(nn.Module):
    """The general equivariant linear map from `irreps_in` to `irreps_out`, all of which the input must hold."""

    def __init__(self, irreps_in: Irreps, irreps_out: Irreps) -> None:
        super().__init__()
        sources = {b.ir: b for b in blocks(irreps_in)}
        missing = [str(ir) for _, ir in irreps_out if ir not in sources]
        if missing:
            raise ValueError(f"a linear map from '{irreps_in}' cannot give {', '.join(missing)}")
        self.irreps_in, self.irreps_out = irreps_in, irreps_out
        self.mixes = nn.ModuleList(
            _Mix(sources[ir].start, ir.dim, sources[ir].mul, mul) for mul, ir in irreps_out
        )

    def forward(self, x: Tensor) -> Tensor:
        out: list[Tensor] = []
        for mix in self.mixes:
            out.append(mix(x))
        return torch.cat(out, dim=1)


class _SpeciesMix(nn.Module):
    """One irrep with a matrix per species; atoms arrive grouped by species. Zero where the input lacks the irrep."""

    def __init__(self, n_species: int, start: int, dim: int, mul_in: int, mul_out: int) -> None:
        super().__init__()
        self.start, self.dim, self.mul_in, self.mul_out = start, dim, mul_in, mul_out
        self.weight = _normal(n_species, mul_in, mul_out, fan_in=max(mul_in, 1))

    def forward(self, x: Tensor, counts: list[int]) -> Tensor:
        if self.mul_in == 0:
            return x.new_zeros(x.shape[0], self.dim * self.mul_out)
        block = x[:, self.start : self.start + self.dim * self.mul_in]
        groups: list[Tensor] = []
        for s, group in enumerate(torch.split(block, counts)):
            if counts[s] > 0:
                mixed = group.reshape(-1, self.mul_in) @ self.weight[s]
                groups.append(mixed.view(-1, self.dim * self.mul_out))
        if len(groups) == 0:
            return x.new_zeros(0, self.dim * self.mul_out)
        return torch.cat(groups)


class SelfConnection(nn.Module):
    """A linear map of every atom's own features that depends on its species (Batzner et al. 2022, Methods).

    NequIP writes it as a tensor product with the species embedding; contracted, that is one matrix per species.
    """

    def __init__(self, irreps_in: Irreps, irreps_out: Irreps, n_species: int) -> None:
        super().__init__()
        self.irreps_in, self.irreps_out, self.n_species = irreps_in, irreps_out, n_species
        sources = {b.ir: b for b in blocks(irreps_in)}
        mixes = []
        for mul, ir in irreps_out:
            source = sources.get(ir)
            start, mul_in = (source.start, source.mul) if source else (0, 0)
            mixes.append(_SpeciesMix(n_species, start, ir.dim, mul_in, mul))
        self.mixes = nn.ModuleList(mixes)

    def forward(self, x: Tensor, species: Tensor) -> Tensor:
        """x (n_atoms, irreps_in.dim), species (n_atoms,) to (n_atoms, irreps_out.dim)."""
        grouped = x
        counts = [x.shape[0]]
        order = species
        if self.n_species > 1:
            order = torch.argsort(species, stable=True)
            grouped = x.index_select(0, order)
            counts_of_species: list[int] = torch.bincount(species, minlength=self.n_species).tolist()
            counts = counts_of_species
        out: list[Tensor] = []
        for mix in self.mixes:
            out.append(mix(grouped, counts))
        joined = torch.cat(out, dim=1)
        if self.n_species > 1:
            joined = joined.index_select(0, torch.argsort(order))
        return joined
