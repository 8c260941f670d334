"""The parts of a calculator's step, as separate calls with the inputs of the step."""

import copy
from collections.abc import Callable

import numpy as np
from ase import Atoms

from equipot.calculators import EquipotCalculator
from equipot.calculators.ase import DEFAULT_SKIN
from equipot.model_file import LoadedModel
from equipot.model_file.structure import Structure
from equipot.neighbours import VerletList
from equipot.neighbours.arrays import Array

SEARCH, TOTAL = "neighbour list", "total"
STEP_PARTS = ("edges", "network", "marshalling")  # parts of every step; their sum is the total
MOVED = 1e-3  # Å; every step has new positions, but needs no new search


class Step:
    """A step in pieces, which must be called in the order of `pieces()`.

    Args:
        model: the model file
        atoms: the structure; it is not changed

    Raise the calculator's errors for structures that the model cannot compute.
    """

    def __init__(self, model: LoadedModel, atoms: Atoms) -> None:
        self.model = model
        self.atoms = atoms.copy()
        self.atoms.calc = self.calculator = EquipotCalculator(model)
        rng = np.random.default_rng(1)
        # A few configurations around the structure, so that steps do not move away from it.
        shape = (4, len(atoms), 3)
        self.configurations = atoms.positions + np.clip(
            rng.normal(scale=MOVED, size=shape), -4 * MOVED, 4 * MOVED
        )
        self.cell, self.pbc = atoms.cell.array, np.array(atoms.pbc)
        self.atoms.get_forces()
        self.types = self.calculator.species.index(atoms.numbers)
        edges = self._list().update(atoms.positions, self.cell, self.pbc, self.types)
        self.structure = Structure(self.types, *edges, atoms.positions, self.cell, self.pbc)
        self.without_network = self._without_network()

    def pieces(self) -> dict[str, Callable[[int], object]]:
        """Return the pieces by name, as functions of the number of the round."""
        return {
            SEARCH: self._search,
            TOTAL: self._total,
            "edges": self._edges,
            "network": self._network,
            "marshalling": self._marshalling,
        }

    def _list(self) -> VerletList:
        n = self.calculator.neighbours
        return VerletList(n.cutoff, DEFAULT_SKIN, n.pair_cutoffs, n.device)

    def _positions(self, k: int) -> np.ndarray:
        return self.configurations[k % len(self.configurations)]

    def _search(self, k: int) -> object:
        return self._list().update(self._positions(k), self.cell, self.pbc, self.types)

    def _total(self, k: int) -> object:
        self.atoms.positions = self._positions(k)
        return self.atoms.get_forces()

    def _edges(self, k: int) -> object:
        return self.calculator.neighbours.update(self._positions(k), self.cell, self.pbc, self.types)

    def _network(self, k: int) -> object:
        return self.model.compute(self.structure)

    def _marshalling(self, k: int) -> object:
        self.without_network.positions = self._positions(k)
        return self.without_network.get_forces()

    def _without_network(self) -> Atoms:
        """Return the structure with a calculator whose network and neighbour list return stored results."""
        atoms, model = self.atoms.copy(), copy.copy(self.model)
        results = model.compute(self.structure)
        object.__setattr__(model, "compute", lambda *arguments: results)
        atoms.calc = EquipotCalculator(model)
        atoms.calc.neighbours = _FixedNeighbours(self._list(), self.structure)
        return atoms


class _FixedNeighbours(VerletList):
    """A replacement of the neighbour list that returns stored edges."""

    def __init__(self, like: VerletList, structure: Structure) -> None:
        super().__init__(like.cutoff, like.skin, like.pair_cutoffs, like.device)
        self.edges = structure[1:3]

    def update(
        self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, species: np.ndarray
    ) -> tuple[Array, Array]:
        return self.edges
