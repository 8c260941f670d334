"""Stretched bonds: the loss that makes bonds hold which are longer than those of the data.

A training set at a moderate temperature has no bond much longer than its rest length, and its next distances are those
of second neighbours. In between the network may pull weakly or not at all, and in hot dynamics the bond breaks. So some
steps of a training also look at frames with one stretched bond, and the loss has a term for bonds that pull less than
covalent bonds do.

A Morse potential of depth D and width a pulls with at most D a/2. That is 4 to 6 eV/Å for most bonds of hydrogen and
about 2 eV/Å for weak ones, such as O-O and C-I.
"""

from collections.abc import Sequence

import numpy as np
import torch
from ase.data import atomic_numbers, covalent_radii
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from equipot.contract import Inputs, edges_only, on_device
from equipot.data.graph import Graph
from equipot.network.derivatives import predict
from equipot.network.potential import Potential

NONMETALS = frozenset("H B C N O F Si P S Cl Ge As Se Br Te I".split())
BOND = 1.25  # longest bond, times the sum of the covalent radii
# Atoms closer than this, in the same unit, do not approach further: a hydrogen bond may become a bond.
CONTACT = 1.7
FURTHER = 0.5  # Å, largest stretch beyond the longest bond of the data
PULL = 1.2  # eV/Å, the smallest pull that costs nothing
WEIGHT = 0.05  # of the mean square, in (eV/Å)²
SAMPLE = 200  # frames that show the longest bonds


class StretchedBonds:
    """Frames of the training set in which a bond is longer than in all of them.

    Only bonds are stretched whose removal leaves two parts without another bond: the smaller part moves away from the
    rest. Metals and closed networks have no such bonds.

    Args:
        type_names: elements.
        graphs: the training set.
        at_once: frames of a step.
        seed: random seed of frames, bonds and lengths.
    """

    def __init__(self, type_names: Sequence[str], graphs: Sequence[Graph], at_once: int, seed: int) -> None:
        self.graphs, self.at_once, self.seed = graphs, at_once, seed
        covalent = np.array([covalent_radii[atomic_numbers[name]] for name in type_names])
        self.sums = covalent[:, None] + covalent
        nonmetal = np.array([name in NONMETALS for name in type_names])
        self.bond = np.where(nonmetal[:, None] & nonmetal, BOND * self.sums, 0.0)
        self.longest = np.zeros_like(self.sums)  # Å, of the bonds of each pair of species in the data
        for k in range(0, len(graphs), max(1, len(graphs) // SAMPLE)):
            pair, r = _pairs(graphs[k])
            bonds = r < self.bond[pair]
            np.maximum.at(self.longest, (pair[0][bonds], pair[1][bonds]), r[bonds])

    def inputs(self, step: int) -> tuple[Inputs, Tensor, Tensor]:
        """Return stretched frames as one structure; seed and step alone decide, so a resumed training has the same.

        Returns:
            The inputs; directions (n_atoms, 3), away from the rest, for the atoms that moved, zero for all others; and
            the number of each atom's frame (n_atoms,).
        """
        rng = np.random.default_rng([self.seed, step])
        stretched = []
        for _ in range(self.at_once if self.longest.any() else 0):
            change = self._stretched(self.graphs[int(rng.integers(len(self.graphs)))], rng)
            stretched += [] if change is None else [change]
        species, edges, vectors, away = [np.zeros(0, dtype=np.int64)], [], [], []
        n_atoms = 0
        for graph, moved_vectors, direction in stretched:
            species.append(graph.species.numpy())
            edges.append(graph.edge_index.numpy().astype(np.int64) + n_atoms)
            vectors.append(moved_vectors)
            away.append(direction)
            n_atoms += graph.n_atoms
        frame = np.repeat(np.arange(len(stretched)), [graph.n_atoms for graph, _, _ in stretched])
        none = np.zeros((0, 3))
        inputs = edges_only(
            torch.from_numpy(np.concatenate(species)),
            torch.from_numpy(np.concatenate([np.zeros((2, 0), dtype=np.int64), *edges], axis=1)),
            torch.from_numpy(np.concatenate([none, *vectors])),
        )
        return inputs, torch.from_numpy(np.concatenate([none, *away])), torch.from_numpy(frame)

    def loss(self, potential: Potential, step: int) -> Tensor | None:
        """Return the weighted mean square of the missing pull, a float64 scalar; None if no bond could be stretched."""
        inputs, away, frame = self.inputs(step)
        if len(frame) == 0:
            return None
        device = potential.e0.device
        forces = predict(potential, on_device(inputs, device), create_graph=True).forces
        along = (forces * away.to(device)).sum(1)
        pull = -forces.new_zeros(int(frame[-1]) + 1).index_add(0, frame.to(device), along)
        return WEIGHT * (PULL - pull).clamp(min=0.0).square().mean()

    def _stretched(
        self, graph: Graph, rng: np.random.Generator
    ) -> tuple[Graph, np.ndarray, np.ndarray] | None:
        """Return a graph, its edge vectors with a stretched bond, and the direction of each atom's motion.

        Edges that only the stretched structure would have are left out. They are near the cutoff, where they are weak.
        """
        pair, r = _pairs(graph)
        edges, vectors = graph.edge_index.numpy(), graph.edge_vectors.numpy()
        bonds = np.flatnonzero(r < self.bond[pair])
        if len(bonds) == 0:
            return None
        bond = int(rng.choice(bonds))
        fixed, end = edges[:, bond]
        parts = self._parts(edges[:, bonds], fixed, end, graph.n_atoms)
        if parts is None:
            return None
        part, direction = parts[1], vectors[bond] / r[bond]
        if part.sum() > parts[0].sum():
            part, direction = parts[0], -direction
        stretch = self.longest[pair][bond] + rng.uniform(0, FURTHER) - r[bond]
        crossing = part[edges[1]].astype(float) - part[edges[0]]
        moved = vectors + stretch * crossing[:, None] * direction
        closer = np.linalg.norm(moved, axis=1) < np.minimum(r - 1e-6, CONTACT * self.sums[pair])
        return None if closer.any() else (graph, moved, part[:, None] * direction)

    @staticmethod
    def _parts(bonds: np.ndarray, a: int, b: int, n_atoms: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return which atoms remain connected to a and to b without the bond between them; None if a and b are."""
        others = bonds[:, ~(((bonds[0] == a) & (bonds[1] == b)) | ((bonds[0] == b) & (bonds[1] == a)))]
        matrix = coo_array((np.ones(others.shape[1]), tuple(others)), shape=(n_atoms, n_atoms))
        label = connected_components(matrix, directed=False)[1]
        return None if label[a] == label[b] else (label == label[a], label == label[b])


def _pairs(graph: Graph) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return the species of the centre and the neighbour of each edge, and its length (n_edges,) Å."""
    centre, neighbour = graph.species.numpy()[graph.edge_index.numpy()]
    return (centre, neighbour), graph.edge_vectors.square().sum(1).sqrt().numpy()
