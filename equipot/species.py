"""The map between chemical elements and the species indices of a model."""

from collections.abc import Iterable, Sequence

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from equipot.errors import ConfigError, UnknownSpeciesError


class SpeciesMap:
    """The elements of a model in the order of their species indices.

    Args:
        names: element symbols.

    Raises:
        ConfigError: a name is not an element, occurs twice, or there are no names.
    """

    def __init__(self, names: Sequence[str]):
        self.names: tuple[str, ...] = tuple(names)
        if not self.names:
            raise ConfigError("the list of species is empty; expected element symbols such as [Si, O]")
        # "X" is ASE's dummy element with number 0. No model should be trained on it.
        invalid = [n for n in self.names if n not in atomic_numbers or n == "X"]
        if invalid:
            raise ConfigError(
                f"species {invalid[0]!r} is not a chemical element; expected symbols such as Si"
            )
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"species {', '.join(self.names)}: an element is given twice")
        self.numbers = np.array([atomic_numbers[n] for n in self.names], dtype=np.int64)
        self._index = np.full(len(chemical_symbols), -1, dtype=np.int64)
        self._index[self.numbers] = np.arange(len(self.names))

    @classmethod
    def of_numbers(cls, numbers: Iterable[np.ndarray]) -> "SpeciesMap":
        """Return the map of all elements that occur in arrays of atomic numbers, sorted by atomic number."""
        elements: set[int] = set()
        for array in numbers:
            elements.update(int(z) for z in np.unique(array))
        if not all(0 < z < len(chemical_symbols) for z in elements):
            raise UnknownSpeciesError(f"one of the atomic numbers {sorted(elements)} is not an element")
        return cls([chemical_symbols[z] for z in sorted(elements)])

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpeciesMap) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        return f"SpeciesMap([{', '.join(self.names)}])"

    def index(self, numbers: np.ndarray, where: str = "the structure") -> np.ndarray:
        """Return the species index of each atom.

        Args:
            numbers: (n_atoms,) int, atomic numbers.
            where: name of the structure, for the error message.

        Returns:
            (n_atoms,) int64.

        Raises:
            UnknownSpeciesError: an element is not in the map.
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        inside = (numbers >= 0) & (numbers < len(self._index))
        index = np.where(inside, self._index[np.where(inside, numbers, 0)], -1)
        if (index < 0).any():
            unknown = sorted(set(numbers[index < 0].tolist()))
            names = [chemical_symbols[z] if 0 <= z < len(chemical_symbols) else f"Z={z}" for z in unknown]
            raise UnknownSpeciesError(
                f"{where} holds {', '.join(names)}, but the model knows only {', '.join(self.names)}"
            )
        return index
