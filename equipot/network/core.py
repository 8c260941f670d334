"""The core: what pairs of atoms feel at distances that no training frame has.

A network knows nothing about such pairs. Its polynomials grow without limit there, and often bind atoms that overlap.
Below the core radius of a pair of elements, two things replace what the network has not learnt:

- The network sees distances that stop falling (`Core.seen_by_network`), so its part of the energy stays what it was at
  the edge of the data.
- The ZBL repulsion, which is zero at the core radius, pushes the atoms apart (`equipot.network.zbl`).

The core radii are the shortest distances in the training set. Many sets also lack distances between covalent bonds
and second neighbours. In such a gap, networks tend to let stretched bonds break. A barrier in the gap keeps bonds
whole, and keeps others from forming.

At all other distances nothing changes, so the core does not change the fit.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from ase.data import atomic_numbers, covalent_radii
from torch import Tensor, nn

from equipot.network.zbl import ZBL
from equipot.ops import Topology

# The distances that the network sees end at this fraction of the core radius below it.
DEPTH = 0.12
# The radius of an atom in a van der Waals contact exceeds its covalent radius by about 0.8 Å (Pauling, The Nature of
# the Chemical Bond, 3rd edition, 1960, chapter 7-12). Atoms further apart than that have no core.
CONTACT = 1.6
# A gap is between bonds, which are at most this many times as long as the sum of the covalent radii, and the next
# distances.
LONGEST_BOND = 1.25
NARROWEST_GAP = 0.45  # Å
# The barrier leaves this much at the ends of the gap to the network, as hot bonds are somewhat longer than those of the
# data.
MARGINS = 0.15, 0.05  # Å
HEIGHT = 3.0  # eV, of the barrier


def core_radii(
    type_names: Sequence[str], distances: Sequence[Sequence[Sequence[float]]] | None, cutoff: float
) -> list[list[float]]:
    """Return the core radii of all pairs of elements in Å: (n_species, n_species), symmetric.

    The radius of a pair is its shortest distance in the data, but at most that of a van der Waals contact. The radius
    of a pair that the data lack is the sum of its covalent radii.

    Args:
        type_names: elements.
        distances: (n_species, n_species) ascending lists of the distances in the data, Å; empty for a pair that they
            lack. None: nothing is known.
        cutoff: Å, the longest radius.
    """
    covalent = [float(covalent_radii[atomic_numbers[name]]) for name in type_names]

    def radius(i: int, j: int) -> float:
        bond, known = covalent[i] + covalent[j], distances[i][j] if distances else []
        return min(known[0] if known else bond, bond + CONTACT, cutoff)

    return [[radius(i, j) for j in range(len(type_names))] for i in range(len(type_names))]


def bond_gaps(
    type_names: Sequence[str], distances: Sequence[Sequence[Sequence[float]]]
) -> list[list[list[float]]]:
    """Return the ends of the barrier of each pair of elements in Å: (n_species, n_species, 2); both 0 without one.

    Args:
        type_names: elements.
        distances: (n_species, n_species) ascending lists of the distances in the data, Å, at least one for every
            0.05 Å of distances that occur.
    """
    covalent = [float(covalent_radii[atomic_numbers[name]]) for name in type_names]

    def barrier(i: int, j: int) -> list[float]:
        known = list(distances[i][j])
        bond = covalent[i] + covalent[j]
        for start, end in pairwise([*known, math.inf]):
            if end - start < NARROWEST_GAP:
                continue
            end = min(end, bond + CONTACT)
            if start > LONGEST_BOND * bond or end - start < NARROWEST_GAP:
                break
            return [start + MARGINS[0], end - MARGINS[1]]
        return [0.0, 0.0]

    return [[barrier(i, j) for j in range(len(type_names))] for i in range(len(type_names))]


class Core(nn.Module):
    """The repulsion of atoms closer than the core radii, the distances that the network sees there, and barriers.

    Args:
        type_names: elements.
        radii: (n_species, n_species) Å, float64, symmetric.
        gaps: (n_species, n_species, 2) Å, float64, the ends of the barrier of each pair; both 0 without one.
    """

    radii: Tensor
    starts: Tensor
    ends: Tensor

    def __init__(self, type_names: list[str], radii: Tensor, gaps: Tensor | None = None) -> None:
        super().__init__()
        self.n_species, self.depth = len(type_names), DEPTH
        self.zbl = ZBL(type_names, radii, "cutoff")
        self.register_buffer("radii", radii.flatten().clone())
        gaps = torch.zeros(*radii.shape, 2, dtype=torch.float64) if gaps is None else gaps
        self.register_buffer("starts", gaps[..., 0].flatten().clone())
        self.register_buffer("ends", gaps[..., 1].flatten().clone())
        self.height = HEIGHT

    def pairs(self, species: Tensor, graph: Topology) -> Tensor:
        """Return the pair of elements of each edge, as an index into the flat tables: (n_edges,)."""
        if self.n_species == 1:
            return torch.zeros_like(graph.centre)
        pair = species.index_select(0, graph.centre) * self.n_species
        return pair + species.index_select(0, graph.neighbour)

    def seen_by_network(self, species: Tensor, edge_vectors: Tensor, graph: Topology) -> Tensor:
        """Return the edge vectors (n_edges, 3) Å with lengths that stop falling below the core radii.

        A length r below the core radius r0 becomes r0 (1 - d s(y)), with y = (1 - r/r0)/d, d = `DEPTH`, and
        s(y) = y/(1 + y³)^(1/3), which grows from 0 to 1. Three derivatives are continuous at r0.
        """
        r = edge_vectors.square().sum(1).sqrt()
        radius = self.radii.index_select(0, self.pairs(species, graph))
        if bool((r < radius).any()):
            y = ((1 - r / radius) / self.depth).clamp(min=0.0)
            longer = radius * self.depth * (y - y * (1 + y * y * y).pow(-1 / 3))
            return edge_vectors * (1 + longer / r).unsqueeze(1)
        return edge_vectors

    def forward(self, species: Tensor, edge_vectors: Tensor, graph: Topology) -> Tensor:
        """Return the energy of core and barriers of each centre (n_centres,) eV float64."""
        r, pairs = edge_vectors.square().sum(1).sqrt(), self.pairs(species, graph)
        energy = edge_vectors.new_zeros(graph.rowptr.shape[0] - 1)
        if bool((r < self.radii.index_select(0, pairs)).any()):
            energy = energy + self.zbl(species, edge_vectors, graph)
        start, end = self.starts.index_select(0, pairs), self.ends.index_select(0, pairs)
        above, below = (r - start).clamp(min=0.0), (end - r).clamp(min=0.0)
        if bool((above * below > 0).any()):
            # h (4 t (1 - t))³ with t from 0 to 1 in the gap, half for each atom of a pair. Its first two derivatives
            # are continuous.
            width = (end - start).clamp(min=1.0e-3)
            barrier = 0.5 * self.height * (4 * above * below / (width * width)).pow(3)
            energy = energy.index_add(0, graph.centre, barrier)
        return energy
