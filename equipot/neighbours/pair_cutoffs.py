"""The cutoffs of all pairs of elements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from equipot.errors import ConfigError


@dataclass(frozen=True)
class PairCutoffs:
    """A cutoff for every pair of elements.

    Attributes:
        type_names: element symbols in the order of the model's species.
        cutoff: Å, the largest cutoff of all pairs.
        matrix: (n_species, n_species) Å, symmetric, at most `cutoff`.
    """

    type_names: tuple[str, ...]
    cutoff: float
    matrix: np.ndarray

    @classmethod
    def from_matrix(
        cls, type_names: Sequence[str], cutoff: float, matrix: Sequence[Sequence[float]] | np.ndarray
    ) -> "PairCutoffs":
        """Return the cutoffs of a model from its matrix (`PotentialSpec.pair_cutoffs`)."""
        return cls(tuple(type_names), float(cutoff), np.array(matrix, dtype=np.float64))

    @classmethod
    def from_config(
        cls, type_names: Sequence[str], cutoff: float, pairs: Mapping[str, float] | None = None
    ) -> "PairCutoffs":
        """Return the cutoffs from a config.

        Args:
            type_names: element symbols in the order of the model's species.
            cutoff: Å, for all other pairs.
            pairs: shorter cutoffs, e.g. {"Si-O": 4.0}. A pair holds in both directions.

        Raises:
            ConfigError: a pair is not two elements of `type_names`, is given twice, or has a cutoff that is longer than
                `cutoff` or not positive.
        """
        names = tuple(type_names)
        matrix = np.full((len(names), len(names)), float(cutoff))
        known_pairs: set[frozenset[str]] = set()
        for pair, value in (pairs or {}).items():
            elements = pair.split("-")
            if len(elements) != 2 or not set(elements) <= set(names):
                raise ConfigError(
                    f"model.pair_cutoffs: '{pair}' is not a pair of the model's elements; expected e.g. "
                    f"{names[0]}-{names[-1]} with two elements of {', '.join(names)}"
                )
            if frozenset(elements) in known_pairs:
                raise ConfigError(
                    f"model.pair_cutoffs: the pair {pair} is given twice; one entry holds in both directions"
                )
            if not 0 < value <= cutoff:
                raise ConfigError(
                    f"model.pair_cutoffs: {pair} is {value} Å; expected more than 0 and at most {cutoff} Å"
                )
            known_pairs.add(frozenset(elements))
            i, j = (names.index(e) for e in elements)
            matrix[i, j] = matrix[j, i] = value
        return cls(names, float(cutoff), matrix)

    def shorter(self) -> dict[str, float]:
        """Return the pairs whose cutoff is shorter than `cutoff`, in the form of `from_config`."""
        n = len(self.type_names)
        return {
            f"{self.type_names[i]}-{self.type_names[j]}": float(self.matrix[i, j])
            for i in range(n)
            for j in range(i, n)
            if self.matrix[i, j] < self.cutoff
        }

    def of(self, a: str, b: str) -> float:
        """Return the cutoff (Å) of the elements a and b."""
        return float(self.matrix[self.type_names.index(a), self.type_names.index(b)])
