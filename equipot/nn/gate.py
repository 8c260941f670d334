"""The nonlinearity: scalars are activated, higher irreps are multiplied by activated scalars (Weiler et al. 2018)."""

import torch
from e3nn.o3 import Irrep, Irreps
from torch import Tensor, nn

from equipot.nn.activation import SILU, TANH
from equipot.nn.blocks import blocks


class Gate(nn.Module):
    """Takes `irreps_in` (the scalars, among them one gate per gated channel) and gives `irreps_out`.

    Even scalars pass silu, odd ones tanh. Gates are even scalars where the layer can make any (`gate_parity`).
    """

    def __init__(self, irreps_out: Irreps, gate_parity: int = 1) -> None:
        super().__init__()
        gate = Irrep(0, gate_parity)
        self.irreps_out = irreps_out
        self.silu_norm, self.tanh_norm = SILU, TANH
        n_gates = sum(mul for mul, ir in irreps_out if ir.l > 0)
        muls = {ir: mul for mul, ir in irreps_out}
        scalars = sorted({ir for ir in muls if ir.l == 0} | ({gate} if n_gates else set()), reverse=True)
        gated = [(mul, ir) for mul, ir in irreps_out if ir.l > 0]
        # Gates stand behind the scalars of their parity, so that the layer before stays one product per irrep.
        n_in = {ir: muls.get(ir, 0) + (n_gates if ir == gate else 0) for ir in scalars}
        self.irreps_in = Irreps([(n_in[ir], ir) for ir in scalars] + gated)
        columns = {b.ir: b.start for b in blocks(self.irreps_in)}
        self.first_gate = columns[gate] + muls.get(gate, 0) if n_gates else 0
        self.n_gates = n_gates
        self.gate_is_even = gate_parity == 1
        # (start, dim, mul, even scalar?) per output block
        self.sources = [(columns[b.ir], b.dim, b.mul, b.ir.p == 1) for b in blocks(irreps_out)]

    def _activate(self, x: Tensor, even: bool) -> Tensor:
        return torch.nn.functional.silu(x) * self.silu_norm if even else torch.tanh(x) * self.tanh_norm

    def forward(self, x: Tensor) -> Tensor:
        gates = self._activate(x[:, self.first_gate : self.first_gate + self.n_gates], self.gate_is_even)
        out: list[Tensor] = []
        used = 0
        for start, dim, mul, even in self.sources:
            block = x[:, start : start + dim * mul]
            if dim == 1:
                out.append(self._activate(block, even))
            else:
                gate = gates[:, used : used + mul].unsqueeze(1)
                out.append((block.reshape(-1, dim, mul) * gate).flatten(1))
                used += mul
        return torch.cat(out, dim=1)
