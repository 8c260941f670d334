"""The nonlinearity: scalars are activated, higher irreps are multiplied by activated scalars (Weiler et al. 2018)."""

import torch
from torch import Tensor, nn

import equipot.ops.gate  # noqa: F401  registers equipot::gate
from equipot.irreps import Irrep, Irreps
from equipot.network.activation import activation_gain
from equipot.network.blocks import blocks
from equipot.network.program import Program


class Gate(nn.Module):
    """The gate from `irreps_in` to `irreps_out`; `irreps_in` holds one more scalar per channel with l > 0, its gate.

    Even scalars pass silu, odd scalars tanh. `gate_parity` is the parity of the gates: 1 if the layer can make even
    scalars, else -1.
    """

    blocks: Tensor

    def __init__(self, irreps_out: Irreps, gate_parity: int = 1) -> None:
        super().__init__()
        gate = Irrep(0, gate_parity)
        self.irreps_out = irreps_out
        self.silu_gain, self.tanh_gain = activation_gain("silu"), activation_gain("tanh")
        n_gates = sum(mul for mul, ir in irreps_out if ir.l > 0)
        muls = {ir: mul for mul, ir in irreps_out}
        scalars = sorted({ir for ir in muls if ir.l == 0} | ({gate} if n_gates else set()), reverse=True)
        gated = [(mul, ir) for mul, ir in irreps_out if ir.l > 0]
        # Gates follow the scalars of their parity, so that the linear map before is one matrix product per irrep.
        n_in = {ir: muls.get(ir, 0) + (n_gates if ir == gate else 0) for ir in scalars}
        self.irreps_in = Irreps([(n_in[ir], ir) for ir in scalars] + gated)
        columns = {b.ir: b.start for b in blocks(self.irreps_in)}
        self.dim_out = int(irreps_out.dim)
        next_gate = columns[gate] + muls.get(gate, 0) if n_gates else 0
        rows = []
        for b in blocks(irreps_out):
            if b.mul == 0:
                continue
            if b.ir.l == 0:
                rows.append([columns[b.ir], 1, b.mul, b.start, -1, int(b.ir.p == 1)])
            else:
                rows.append([columns[b.ir], b.dim, b.mul, b.start, next_gate, int(gate_parity == 1)])
                next_gate += b.mul
        self.register_buffer("blocks", torch.tensor(rows, dtype=torch.int64).reshape(-1, 6), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.equipot.gate(x, self.blocks, self.dim_out, self.silu_gain, self.tanh_gain)

    @torch.jit.unused
    def write(self, program: Program, x: int) -> int:
        """Add the gate to a program; return its value."""
        out = program.value(self.dim_out)
        gains = {"silu": self.silu_gain, "tanh": self.tanh_gain}
        program.add("gate", x=x, out=out, blocks=program.integers(self.blocks), **gains)
        return out
