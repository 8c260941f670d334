"""Pairs of atoms that no training frame has: the loss that makes them repel each other.

A training set says nothing about two atoms closer than its shortest distances. The core (`equipot.network.core`) repels
them, but just below its radius it is weak, and there the network might pull. So some steps of a training also look at
isolated pairs of atoms at such distances, and the loss has a term for those that attract each other. Bonded pairs of
elements need no such term, as the data show their repulsion. It also would make their bonds weaker.
"""

from collections.abc import Sequence

import numpy as np
import torch
from ase.data import atomic_numbers, covalent_radii
from torch import Tensor

from equipot.contract import Inputs, edges_only, on_device
from equipot.network.core import DEPTH
from equipot.network.core_radii import MARGIN
from equipot.network.derivatives import predict
from equipot.network.potential import Potential

AT_ONCE = 32  # pairs
WEIGHT = 0.05  # of the mean square, in (eV/Å)²
LEAST = 0.1  # eV/Å, the smallest repulsion that costs nothing


class UnseenPairs:
    """Isolated pairs of atoms at distances that the network sees, but the data lack.

    Args:
        type_names: elements.
        radii: (n_species, n_species) Å, the core radii.
        seed: random seed of elements and distances.

    Attributes:
        pairs: (n, 2) species of the pairs of elements that the data do not show as bonds; there may be none.
    """

    def __init__(self, type_names: Sequence[str], radii: Tensor, seed: int) -> None:
        self.radii, self.seed = radii.numpy(), seed
        covalent = np.array([covalent_radii[atomic_numbers[name]] for name in type_names])
        # The shortest bond of a pair in the data is shorter than the sum of the covalent radii.
        apart = self.radii > MARGIN * 0.97 * (covalent[:, None] + covalent)
        self.pairs = np.argwhere(np.triu(apart))

    def inputs(self, step: int) -> Inputs:
        """Return pairs as one structure. They depend on seed and step alone, so a resumed training has the same."""
        rng = np.random.default_rng([self.seed, step])
        species = self.pairs[rng.integers(len(self.pairs), size=AT_ONCE)]
        fraction = rng.uniform(1 - 1.5 * DEPTH, 1.0, AT_ONCE)
        vectors = np.zeros((AT_ONCE, 2, 3))
        vectors[:, 0, 2] = self.radii[species[:, 0], species[:, 1]] * fraction
        vectors[:, 1] = -vectors[:, 0]
        first = np.arange(0, 2 * AT_ONCE, 2)
        edges = np.stack([[first, first + 1], [first + 1, first]], axis=-1).reshape(2, -1)
        return edges_only(*map(torch.from_numpy, (species.reshape(-1), edges, vectors.reshape(-1, 3))))

    def loss(self, potential: Potential, step: int) -> Tensor | None:
        """Return the weighted mean square of the missing repulsion, a float64 scalar; None if there are no pairs."""
        if len(self.pairs) == 0:
            return None
        inputs = self.inputs(step)
        device = potential.e0.device
        prediction = predict(potential, on_device(inputs, device), create_graph=True)
        along = inputs.edge_vectors[::2, 2].sign().to(device)
        repulsion = prediction.forces[1::2, 2] * along
        return WEIGHT * (LEAST - repulsion).clamp(min=0.0).square().mean()
