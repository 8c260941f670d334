"""Potentials with more than energies: further outputs per atom, and a term that reads positions and cell."""

from typing import ClassVar

import torch
from torch import Tensor

from equipot.contract import Inputs, Outputs
from equipot.network.potential import Potential
from equipot.ops import Topology
from tests.models import make_potential


class WithFurtherOutputs(Potential):
    """Gives of every atom the square of its last features, "size", and the first two of them, "pair"."""

    @torch.jit.export
    def readout(self, x: Tensor, species: Tensor, edge_vectors: Tensor, graph: Topology) -> Outputs:
        energies = self.read(x)[0].to(torch.float64) + self.e0.index_select(0, species[: x.shape[0]])
        features = x.to(torch.float64)
        return {"size": features.square().sum(1), "energies": energies, "pair": features[:, :2]}


class WithCharges(Potential):
    """Adds the Coulomb energy of fixed charges, +1 and -1 by species, with all atoms of the nearest cells.

    It is read from positions and cell alone: what a term beyond the edges does.
    """

    reads_positions: ClassVar[bool] = True

    def forward(self, inputs: Inputs) -> Outputs:
        outputs = super().forward(inputs)
        charge = 1.0 - 2.0 * inputs.species.to(torch.float64)
        energies = torch.zeros(len(charge), dtype=torch.float64)
        for g in range(inputs.cell.shape[0]):
            mine = torch.nonzero(inputs.graph_of_atom == g).squeeze(1)
            images = torch.cartesian_prod(*[torch.arange(-1, 2) * int(p) for p in inputs.pbc[g]]).unique(
                dim=0
            )
            shifts = images.to(torch.float64) @ inputs.cell[g]
            x, q = inputs.positions[mine], charge[mine]
            r = x[None, :, None] + shifts[None, None] - x[:, None, None]
            others = (images != 0).any(1)[None, None] | ~torch.eye(len(mine), dtype=torch.bool)[:, :, None]
            # A softened Coulomb law, so that an atom at its own place does no harm.
            inverse = others / (1.0 + r.square().sum(-1)).sqrt()
            energies = energies.index_add(
                0, mine, 0.5 * (q[:, None, None] * q[None, :, None] * inverse).sum((1, 2))
            )
        return {**outputs, "energies": outputs["energies"] + energies}


def changed(kind: type[Potential], seed: int = 3, **options: object) -> Potential:
    """A potential of this kind with the weights of `make_potential`."""
    plain = make_potential(seed=seed, **options)
    potential = kind(plain.spec)
    potential.load_state_dict(plain.state_dict())
    return potential
