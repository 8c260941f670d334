"""Members of a committee that differ in the last linear map, and the standard deviation of the energy.

A network is linear in the weights w of its last map: E = Σ_i s_i w·h_i + …, with the features h_i of atom i before that
map and the scale s_i of its element. So it is known which weights w + δ agree almost as well with the training set: the
differences δ have a normal distribution with the covariance C⁻¹, where C is the curvature of the loss in w (Bigi et
al., Mach. Learn.: Sci. Technol. 5, 045018 (2024); see `uncertainty.curvature`). Members with such weights,
E_k = E + δ_k·Σ s_i h_i, spread like a committee of independent models, but share all layers.
"""

import torch
from torch import Tensor, nn

from equipot.network.program import Program


class Members(nn.Module):
    """The members of a committee. Only the runtime evaluates them.

    Attributes:
        deltas: (n_members, d), the differences δ of their last weights; their sum is zero.
        factor: (d, d), lower triangular; the length of factor @ Σ s_i h_i is the standard deviation of the energy.
    """

    deltas: Tensor
    factor: Tensor

    def __init__(self, n_members: int, d: int) -> None:
        super().__init__()
        self.register_buffer("deltas", torch.zeros(n_members, d, dtype=torch.float64))
        self.register_buffer("factor", torch.zeros(d, d, dtype=torch.float64))

    @torch.jit.unused
    def write(self, program: Program, features: int, scales: Tensor) -> None:
        """Add the members to a program. scales: (n_species,), of the energies."""
        program.add(
            "members",
            x=features,
            scales=program.double(scales),
            members=program.double(self.deltas),
            factor=program.double(self.factor),
        )
