"""One message-passing layer of NequIP (Batzner et al., Nat. Commun. 13, 2453 (2022), Fig. 1b and Methods)."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from equipot.irreps import Irrep, Irreps
from equipot.network.bound import Bound
from equipot.network.gate import Gate
from equipot.network.kinds import SelfConnectionKind
from equipot.network.layer import Cost
from equipot.network.layer_norm import LayerNorm
from equipot.network.linear import IrrepsLinear, ScalarBias, SelfConnection
from equipot.network.norms import InvariantNorms
from equipot.network.program import Program
from equipot.network.radial import RadialNetwork
from equipot.ops import Convolution, ConvolutionPaths, Topology


class Interaction(nn.Module):
    """A layer: linear map, convolution over neighbours, linear map, plus self-connection, then the gate.

    Args:
        irreps_in: irreps of the input features.
        hidden: irreps of the output features. `irreps_out` lacks those that the convolution cannot reach.
        l_max: highest order of the spherical harmonics.
        edge_parity: parity of the spherical harmonics of order 1; 1 makes all of them even.
        self_connection: one matrix per species, one for all species, or none.
        neighbours: (n_species,) average number of neighbours; sums are divided by its square root.
        radial: the function that builds the radial network for the paths of the convolution.
        biases: add learnt constants to even scalars after both linear maps.
        out_scale: (n_species,) scale of the outgoing features of an atom of each species; None: 1.
        residual: add the input features to the output features, for irreps with equal multiplicity in both (He et
            al., CVPR 2016). They are added after `out_scale`: the layer before has scaled them already.
        norms: add the lengths of vectors and tensors to the scalars before the gate, see `InvariantNorms`.
        bound: of the features before the gate, see `Bound`; 0: none.
        layer_norm: epsilon of the norm of the features before the gate, see `LayerNorm`; 0: none.
    """

    neighbour_scale: Tensor
    residual_columns: list[tuple[int, int, int]]

    def __init__(
        self,
        irreps_in: Irreps,
        hidden: Irreps,
        l_max: int,
        edge_parity: Literal[-1, 1],
        self_connection: SelfConnectionKind,
        neighbours: Sequence[float],
        radial: Callable[[ConvolutionPaths], RadialNetwork],
        biases: bool = False,
        out_scale: Tensor | None = None,
        residual: bool = False,
        norms: bool = False,
        bound: float = 0.0,
        layer_norm: float = 0.0,
    ) -> None:
        super().__init__()
        # First all irreps that can be reached, then only the irreps that the gate needs.
        gates = Irreps("1x0e + 1x0o")
        reachable = {
            ir for _, ir in ConvolutionPaths(irreps_in, hidden + gates, l_max, edge_parity).irreps_out
        }
        self.irreps_in = irreps_in
        self.irreps_out = Irreps([(mul, ir) for mul, ir in hidden if ir in reachable])
        self.residual_columns = shared_columns(irreps_in, self.irreps_out) if residual else []
        self.gate = Gate(self.irreps_out, 1 if Irrep("0e") in reachable else -1)
        self.paths = ConvolutionPaths(irreps_in, self.gate.irreps_in, l_max, edge_parity)
        self.linear_in = IrrepsLinear(irreps_in, irreps_in)
        self.radial = radial(self.paths)
        self.convolution = Convolution(self.paths, self.radial.doubled_knot)
        self.linear_out = IrrepsLinear(self.paths.irreps_out, self.gate.irreps_in)
        n_matrices = {"none": 0, "linear": 1, "species": len(neighbours)}[self_connection]
        self.self_connection = (
            SelfConnection(irreps_in, self.gate.irreps_in, n_matrices) if n_matrices else None
        )
        self.bias_in = ScalarBias(irreps_in) if biases else None
        self.bias_out = ScalarBias(self.gate.irreps_in) if biases else None
        has_vectors = any(mul and ir.l > 0 for mul, ir in self.gate.irreps_in)
        self.norms = InvariantNorms(self.gate.irreps_in) if norms and has_vectors else None
        self.layer_norm = LayerNorm(self.gate.irreps_in, layer_norm) if layer_norm > 0 else None
        self.bound = Bound(self.gate.irreps_in, bound) if bound > 0 else None
        scale = torch.tensor(neighbours, dtype=torch.float64).clamp(min=1.0).rsqrt()
        self.register_buffer("neighbour_scale", scale)
        self.out_scale = None if out_scale is None else SpeciesFactor(out_scale)

    def outgoing(self, x: Tensor) -> Tensor:
        """Return the features that atoms send to their neighbours, in the shape of x; ranks exchange nothing else."""
        out = self.linear_in(x)
        if self.bias_in is not None:
            out = self.bias_in(out)
        return out

    def interact(
        self,
        x: Tensor,
        sent: Tensor,
        species: Tensor,
        edge_vectors: Tensor,
        inverse_cutoff: Tensor,
        graph: Topology,
    ) -> Tensor:
        """Return new features of the centres (n_centres, irreps_out.dim).

        x: (n_centres, irreps_in.dim); sent: the result of `outgoing` for all atoms, ghosts included.
        """
        centres = species[: x.shape[0]]
        messages = self.convolution(sent, edge_vectors, self.radial(), inverse_cutoff, graph)
        scale = self.neighbour_scale.index_select(0, centres).unsqueeze(1)
        if self.self_connection is not None:
            out = torch.addcmul(self.self_connection(x, centres), self.linear_out(messages), scale)
        else:
            out = self.linear_out(messages) * scale
        if self.bias_out is not None:
            out = self.bias_out(out)
        if self.norms is not None:
            out = self.norms(out)
        if self.layer_norm is not None:
            out = self.layer_norm(out)
        if self.bound is not None:
            out = self.bound(out)
        out = self.gate(out)
        if self.out_scale is not None:
            out = self.out_scale(out, centres)
        for start, place, size in self.residual_columns:
            after = out.shape[1] - place - size
            out = out + torch.nn.functional.pad(x.narrow(1, start, size), [place, after])
        return out

    @torch.jit.unused
    def write(self, program: Program, x: int, exchanged: bool) -> int:
        """Add the layer to a program; return the value of the new features.

        exchanged: x differs between processes, so that the ghosts need the features of their atoms.
        """
        sent = program.value(self.irreps_in.dim)
        self.linear_in.write(program, x, sent)
        if self.bias_in is not None:
            self.bias_in.write(program, sent)
        if exchanged:
            program.add("exchange", x=sent)
        messages = program.value(self.paths.irreps_out.dim)
        program.add(
            "convolve",
            x=sent,
            out=messages,
            paths=program.integers(self.convolution.paths),
            coupling=program.double(self.convolution.coupling),
            table=program.real(self.radial()),
            doubled_knot=self.convolution.doubled_knot,
        )
        program.add("scale", x=messages, factors=program.real(self.neighbour_scale))
        out = program.value(self.linear_out.dim_out)
        self.linear_out.write(program, messages, out)
        if self.self_connection is not None:
            self.self_connection.write(program, x, out, adds=True)
        if self.bias_out is not None:
            self.bias_out.write(program, out)
        if self.norms is not None:
            self.norms.write(program, out)
        if self.layer_norm is not None:
            out = self.layer_norm.write(program, out)
        if self.bound is not None:
            out = self.bound.write(program, out)
        out = self.gate.write(program, out)
        if self.out_scale is not None:
            program.add("scale", x=out, factors=program.real(self.out_scale.factors))
        if self.residual_columns:
            columns = program.integers(torch.tensor(self.residual_columns))
            program.add("add", x=x, out=out, columns=columns)
        return out

    @torch.jit.unused
    def cost(self, moves: bool) -> Cost:
        """Return fused multiply-adds per atom, without the convolution; moves: x depends on positions."""
        maps = self.linear_in.cost(moves) + self.linear_out.cost()
        if self.self_connection is not None:
            maps += self.self_connection.cost(moves)
        return maps if self.norms is None else maps + self.norms.cost()


def shared_columns(a: Irreps, b: Irreps) -> list[tuple[int, int, int]]:
    """Return the columns that irreps `a` and `b` share: start in a, start in b, size.

    An irrep is shared if both hold it with the same multiplicity. Adjacent columns are joined.
    """
    starts = {(mul, ir): piece.start for (mul, ir), piece in zip(a, a.slices())}
    shared: list[tuple[int, int, int]] = []
    for (mul, ir), piece in zip(b, b.slices()):
        start = starts.get((mul, ir))
        size = piece.stop - piece.start
        if start is None or size == 0:
            continue
        last = shared[-1] if shared else (0, 0, -1)
        if (last[0] + last[2], last[1] + last[2]) == (start, piece.start):
            shared[-1] = (last[0], last[1], last[2] + size)
        else:
            shared.append((start, piece.start, size))
    return shared


class SpeciesFactor(nn.Module):
    """A factor for each species, by which the features of its atoms are multiplied."""

    factors: Tensor

    def __init__(self, factors: Tensor) -> None:
        super().__init__()
        self.register_buffer("factors", factors)

    def forward(self, x: Tensor, species: Tensor) -> Tensor:
        return x * self.factors.index_select(0, species).unsqueeze(1)
