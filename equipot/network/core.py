"""The repulsive core: what atoms feel that are closer to each other than those of any training frame.

A network knows nothing about such pairs. Its polynomials grow without limit there, and often bind atoms that overlap.
Below the core radius of a pair of elements, two things replace what the network has not learnt:

- The network sees distances that stop falling (`Core.seen_by_network`), so its part of the energy stays what it was at
  the edge of the data.
- The ZBL repulsion, which is zero at the core radius, pushes the atoms apart (`equipot.network.zbl`).

Outside the core radii nothing changes. They are a little less than the shortest distances in the training set
(`core_radii.py`), so the core does not change the fit.
"""

import torch
from torch import Tensor, nn

from equipot.network.program import Program
from equipot.network.zbl import ZBL
from equipot.ops import Topology

# The distances that the network sees end at this fraction of the core radius below it.
DEPTH = 0.12


class Core(nn.Module):
    """The repulsion of atoms closer than the core radii, and the distances that the network sees there.

    Args:
        type_names: elements.
        radii: (n_species, n_species) Å, float64, symmetric.
    """

    radii: Tensor

    def __init__(self, type_names: list[str], radii: Tensor) -> None:
        super().__init__()
        self.n_species, self.depth = len(type_names), DEPTH
        self.zbl = ZBL(type_names, radii, "cutoff")
        self.register_buffer("radii", radii.flatten().clone())

    @torch.jit.unused
    def write(self, program: Program) -> None:
        """Add the repulsion, and then the distances that the network sees, to a program."""
        self.zbl.write(program)
        program.add("seen", radii=program.double(self.radii), depth=self.depth)

    def of_edges(self, species: Tensor, graph: Topology) -> Tensor:
        """Return the core radius of each edge: (n_edges,) Å, or (1,) if there is one element."""
        if self.n_species == 1:
            return self.radii
        pair = species.index_select(0, graph.centre) * self.n_species
        return self.radii.index_select(0, pair + species.index_select(0, graph.neighbour))

    def seen_by_network(self, species: Tensor, edge_vectors: Tensor, graph: Topology) -> Tensor:
        """Return the edge vectors (n_edges, 3) Å with lengths that stop falling below the core radii.

        A length r below the core radius r0 becomes r0 (1 - d s(y)), with y = (1 - r/r0)/d, d = `DEPTH`, and
        s(y) = y/(1 + y³)^(1/3), which grows from 0 to 1. Three derivatives are continuous at r0.
        """
        r = edge_vectors.square().sum(1).sqrt()
        radius = self.of_edges(species, graph)
        if bool((r < radius).any()):
            y = ((1 - r / radius) / self.depth).clamp(min=0.0)
            longer = radius * self.depth * (y - y * (1 + y * y * y).pow(-1 / 3))
            return edge_vectors * (1 + longer / r).unsqueeze(1)
        return edge_vectors

    def forward(self, species: Tensor, edge_vectors: Tensor, graph: Topology) -> Tensor:
        """Return the repulsive energy of each centre (n_centres,) eV float64."""
        inside = edge_vectors.square().sum(1).sqrt() < self.of_edges(species, graph)
        if bool(inside.any()):
            return self.zbl(species, edge_vectors, graph)
        return edge_vectors.new_zeros(graph.rowptr.shape[0] - 1)
