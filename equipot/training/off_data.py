"""Terms of the loss for structures that no frame of the training set resembles.

They ask for what holds in all substances, and are zero where it holds: atoms closer than those of the data repel each
other, and bonds longer than those of the data pull.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from equipot.data.graph import Graph
from equipot.network.potential import Potential
from equipot.training.pairs import UnseenPairs
from equipot.training.stretched import StretchedBonds

EVERY = 8  # steps; each term is in one of them
SHARE = 0.1  # largest part of the loss


class Term(Protocol):
    """A term of the loss."""

    def loss(self, potential: Potential, step: int) -> Tensor | None:
        """Return the term for the structures of a step, a float64 scalar, or None if there are none."""


class OffData:
    """The terms for the elements and frames of a training; a network without a core has none.

    Args:
        potential: the network.
        graphs: the training set.
        batch_size: frames of a step.
        seed: random seed of the structures.
    """

    def __init__(self, potential: Potential, graphs: Sequence[Graph], batch_size: int, seed: int) -> None:
        self.terms: list[Term] = []
        if potential.core is not None:
            radii = potential.core.radii.reshape(potential.n_species, -1).cpu()
            stretched = StretchedBonds(potential.type_names, graphs, max(1, batch_size // 2), seed)
            self.terms = [UnseenPairs(potential.type_names, radii, seed), stretched]

    def added(self, loss: Tensor, potential: Potential, step: int) -> Tensor:
        """Return the loss of a step with the term that is due in it."""
        for k, term in enumerate(self.terms):
            value = term.loss(potential, step) if step % EVERY == k * EVERY // len(self.terms) else None
            if value is not None:
                # A term can be large, but it must not outweigh the data.
                loss = loss + value * (SHARE * loss.detach() / (value.detach() + 1e-12)).clamp(max=1.0)
        return loss
