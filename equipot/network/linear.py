"""Linear maps between irreps with one matrix per irrep, and biases, which only even scalars can have."""

import math

import torch
from torch import Tensor, nn

import equipot.ops.linear  # noqa: F401  registers equipot::linear
from equipot.irreps import Irrep, Irreps
from equipot.network.blocks import blocks
from equipot.network.layer import Cost, Layer, MatrixView
from equipot.network.program import Program


class _BlockMap(Layer):
    """A matrix from each block of `irreps_in` to the block of the same irrep in `irreps_out`, for each species."""

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
            # Inputs of unit variance give outputs of unit variance.
            normal = torch.randn(n_species, source.mul, target.mul, dtype=torch.float64) / math.sqrt(
                source.mul
            )
            weights.append(normal.flatten(1))
            used += source.mul * target.mul
        self.weight = nn.Parameter(torch.cat(weights, dim=1))
        self.register_buffer("blocks", torch.tensor(rows, dtype=torch.int64).reshape(-1, 6), persistent=False)

    @torch.jit.unused
    def write(self, program: Program, x: int, out: int, adds: bool = False) -> None:
        """Add the map of x to `out` to a program; adds: to what `out` holds already."""
        blocks, weight = program.integers(self.blocks), program.real(self.weight)
        program.add("linear", x=x, out=out, blocks=blocks, weight=weight, adds=adds)

    @torch.jit.unused
    def matrices(self) -> dict[str, list[MatrixView]]:
        rows = [(first, mul_in, mul_out) for _, _, mul_in, _, mul_out, first in self.blocks.tolist()]
        return {"weight": [_block(*row) for row in rows]}

    @torch.jit.unused
    def cost(self, input_gradient: bool = True) -> Cost:
        """Return fused multiply-adds per atom: a product per component and block; backward, its transpose."""
        products = sum(dim * mul_in * mul_out for _, dim, mul_in, _, mul_out, _ in self.blocks.tolist())
        return Cost(products, products if input_gradient else 0)

    @torch.jit.unused
    def matrix(self, ir: Irrep) -> Tensor:
        """Return a view of the matrices of one irrep: (n_species, mul_in, mul_out); raise KeyError if it has none."""
        target = {b.ir: b for b in blocks(self.irreps_out)}[ir]
        for _, _, mul_in, out_start, mul_out, first in self.blocks.tolist():
            if out_start == target.start:
                part = self.weight.detach()[:, first : first + mul_in * mul_out]
                return part.view(-1, mul_in, mul_out)
        raise KeyError(ir)


def _block(first: int, mul_in: int, mul_out: int) -> MatrixView:
    return lambda w: w[:, first : first + mul_in * mul_out].unflatten(1, (mul_in, mul_out))


class IrrepsLinear(_BlockMap):
    """The general equivariant linear map from `irreps_in` to `irreps_out`, whose irreps must all occur in the input."""

    part = "linear"

    def __init__(self, irreps_in: Irreps, irreps_out: Irreps) -> None:
        missing = [str(ir) for _, ir in irreps_out if ir not in {ir for _, ir in irreps_in}]
        if missing:
            raise ValueError(f"a linear map from '{irreps_in}' cannot give {', '.join(missing)}")
        super().__init__(irreps_in, irreps_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        # One matrix serves all atoms, so the operator does not read its argument `species`; it gets the blocks.
        return torch.ops.equipot.linear(x, self.weight, self.blocks, self.blocks, self.dim_out)


class ScalarBias(Layer):
    """A learnt constant for each even scalar, which is added to it."""

    part = "linear"

    def __init__(self, irreps: Irreps) -> None:
        super().__init__()
        scalars = [b for b in blocks(irreps) if b.ir == Irrep("0e")]
        self.before, mul = (scalars[0].start, scalars[0].mul) if scalars else (0, 0)
        self.after = int(irreps.dim) - self.before - mul
        self.bias = nn.Parameter(torch.zeros(mul, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Return x (n_atoms, irreps.dim) with the constants added."""
        return x + torch.cat([x.new_zeros(self.before), self.bias, x.new_zeros(self.after)])

    @torch.jit.unused
    def write(self, program: Program, x: int) -> None:
        """Add the constants to x in a program."""
        program.add("bias", x=x, start=self.before, bias=program.real(self.bias))

    @torch.jit.unused
    def matrices(self) -> dict[str, list[MatrixView]]:
        return {}


class SelfConnection(_BlockMap):
    """A linear map of every atom's own features that depends on its species (Batzner et al. 2022, Methods).

    NequIP writes it as a tensor product with the species embedding, which is equal to one matrix per species. With
    n_species = 1 all species share one matrix. Irreps that the input lacks are zero in the output.
    """

    part = "self_connection"

    def forward(self, x: Tensor, species: Tensor) -> Tensor:
        """Map x (n_atoms, irreps_in.dim) of atoms of these species (n_atoms,) to (n_atoms, irreps_out.dim)."""
        return torch.ops.equipot.linear(x, self.weight, species, self.blocks, self.dim_out)
