"""The cutoff of every pair of elements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from equipot.errors import ConfigError


@dataclass(frozen=True)
class PairCutoffs:
    """Cutoffs in Å by pair of elements.

    Attributes:
        type_names: element symbols in the order of the model's species.
        cutoff: the longest distance (Å) at which any two atoms are neighbours.
        matrix: (n_species, n_species) Å, symmetric, at most `cutoff`.
    """

    type_names: tuple[str, ...]
    cutoff: float
    matrix: np.ndarray

    @classmethod
    def from_matrix(
        cls, type_names: Sequence[str], cutoff: float, matrix: Sequence[Sequence[float]] | np.ndarray
    ) -> "PairCutoffs":
        """Take the cutoffs of a model (`PotentialSpec.pair_cutoffs`)."""
        return cls(tuple(type_names), float(cutoff), np.array(matrix, dtype=np.float64))

    @classmethod
    def from_config(
        cls, type_names: Sequence[str], cutoff: float, pairs: Mapping[str, float] | None = None
    ) -> "PairCutoffs":
        """Give `cutoff` to all pairs but those named, e.g. {"Si-O": 4.0}, which holds in both directions.

        Raises ConfigError for a pair that is not two elements of `type_names`, is given twice, or reaches
        further than `cutoff`.
        """
        names = tuple(type_names)
        matrix = np.full((len(names), len(names)), float(cutoff))
        seen: set[frozenset[str]] = set()
        for pair, value in (pairs or {}).items():
            elements = pair.split("-")
            if len(elements) != 2 or not set(elements) <= set(names):
                raise ConfigError(
                    f"model.pair_cutoffs: '{pair}' is not a pair of the model's elements; expected e.g. "
                    f"{names[0]}-{names[-1]} with elements out of {', '.join(names)}"
                )
            if frozenset(elements) in seen:
                raise ConfigError(
                    f"model.pair_cutoffs: the pair {pair} is given twice; one entry holds in both directions"
                )
            if not 0 < value <= cutoff:
                raise ConfigError(
                    f"model.pair_cutoffs: {pair} is {value} Å; expected more than 0 and at most {cutoff} Å"
                )
            seen.add(frozenset(elements))
            i, j = (names.index(e) for e in elements)
            matrix[i, j] = matrix[j, i] = value
        return cls(names, float(cutoff), matrix)

    def shorter(self) -> dict[str, float]:
        """Return the pairs whose cutoff is below `cutoff` by name; the inverse of `from_config`."""
        n = len(self.type_names)
        return {
            f"{self.type_names[i]}-{self.type_names[j]}": float(self.matrix[i, j])
            for i in range(n)
            for j in range(i, n)
            if self.matrix[i, j] < self.cutoff
        }

    def of(self, a: str, b: str) -> float:
        """Return the cutoff (Å) between elements a and b."""
        return float(self.matrix[self.type_names.index(a), self.type_names.index(b)])
