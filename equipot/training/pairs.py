"""Pairs of atoms that no training frame has: the loss that makes them repel each other.

A training set says nothing about two atoms closer than its shortest distances. The core (`equipot.network.core`) repels
them, but just below its radius it is weak, and there the network might pull. So some steps of a training also look at
isolated pairs of atoms at such distances, and the loss has a term for those that attract each other.
"""

import numpy as np
import torch
from torch import Tensor

from equipot.contract import Inputs, edges_only, on_device
from equipot.network.core import DEPTH
from equipot.network.derivatives import predict
from equipot.network.potential import Potential

EVERY = 8  # steps
AT_ONCE = 32  # pairs
WEIGHT = 0.05  # of the mean square, in (eV/Å)²
LEAST = 0.1  # eV/Å, the smallest repulsion that costs nothing


class UnseenPairs:
    """Isolated pairs of atoms at distances that the network sees, but the data lack.

    Args:
        radii: (n_species, n_species) Å, the core radii.
        seed: random seed of elements and distances.
    """

    def __init__(self, radii: Tensor, seed: int) -> None:
        self.radii, self.seed = radii.numpy(), seed

    def inputs(self, step: int) -> Inputs:
        """Return pairs as one structure. They depend on seed and step alone, so a resumed training has the same."""
        rng = np.random.default_rng([self.seed, step])
        species = rng.integers(len(self.radii), size=(AT_ONCE, 2))
        fraction = rng.uniform(1 - 1.5 * DEPTH, 1.0, AT_ONCE)
        vectors = np.zeros((AT_ONCE, 2, 3))
        vectors[:, 0, 2] = self.radii[species[:, 0], species[:, 1]] * fraction
        vectors[:, 1] = -vectors[:, 0]
        first = np.arange(0, 2 * AT_ONCE, 2)
        edges = np.stack([[first, first + 1], [first + 1, first]], axis=-1).reshape(2, -1)
        return edges_only(*map(torch.from_numpy, (species.reshape(-1), edges, vectors.reshape(-1, 3))))

    def loss(self, potential: Potential, step: int) -> Tensor:
        """Return the weighted mean square of the missing repulsion, a float64 scalar."""
        inputs = self.inputs(step)
        device = potential.e0.device
        prediction = predict(potential, on_device(inputs, device), create_graph=True)
        along = inputs.edge_vectors[::2, 2].sign().to(device)
        repulsion = prediction.forces[1::2, 2] * along
        return WEIGHT * (LEAST - repulsion).clamp(min=0.0).square().mean()
