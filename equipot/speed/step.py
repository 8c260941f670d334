"""The parts of a calculator's step, as separate calls with the inputs of the step."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from ase import Atoms
from torch import Tensor, nn

from equipot.calculators import EquipotCalculator
from equipot.calculators.ase import DEFAULT_SKIN
from equipot.contract import ENERGIES, Inputs, Outputs, edges_only
from equipot.model_file import LoadedModel
from equipot.neighbours import VerletList
from equipot.runtime import Evaluation

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
        self.module = cast(Any, model.module)
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
        self.species = torch.from_numpy(self.types).to(model.device)
        edge_index, vectors = self._list().update(atoms.positions, self.cell, self.pbc, self.types)
        self.edge_index = edge_index
        self.vectors = vectors.requires_grad_(True)
        self.inputs = edges_only(self.species, edge_index, self.vectors)
        species, edges, r = (t.detach().cpu().numpy() for t in (self.species, edge_index, vectors))
        self.arrays = (species, edges, r)
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
        """Return energies and their gradient with respect to the edge vectors."""
        if self.model.runtime is not None:
            return self.model.runtime.evaluate(*self.arrays, threads=torch.get_num_threads())
        atomic = self._energies()
        if not atomic.requires_grad:  # no edges, so nothing depends on positions
            return atomic
        return torch.autograd.grad(atomic.sum(), self.vectors, allow_unused=True)

    def _marshalling(self, k: int) -> object:
        self.without_network.positions = self._positions(k)
        return self.without_network.get_forces()

    def _energies(self) -> Tensor:
        """Return the energies of torch's network."""
        graph = self.module.topology(self.edge_index, len(self.atoms), len(self.atoms))
        return self.module.on_graph(self.inputs, graph)[ENERGIES]

    def _without_network(self) -> Atoms:
        """Return the structure with a calculator whose network and neighbour list return stored results."""
        atoms = self.atoms.copy()
        if self.model.runtime is not None:
            stored: Any = _Replayed(
                self.model.runtime.evaluate(*self.arrays, threads=torch.get_num_threads())
            )
            atoms.calc = EquipotCalculator(dataclasses.replace(self.model, runtime=stored))
        else:
            atomic, gradient = self._energies(), torch.zeros_like(self.vectors)
            if self.vectors.shape[0] > 0:
                (gradient,) = torch.autograd.grad(atomic.sum(), self.vectors)
            replayed = _ReplayedNetwork(atomic.detach(), gradient)
            atoms.calc = EquipotCalculator(dataclasses.replace(self.model, module=replayed))
        atoms.calc.neighbours = _FixedNeighbours(self._list(), self.edge_index, self.vectors.detach())
        return atoms


class _Replayed:
    """A replacement of the runtime that returns a stored evaluation."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation

    def evaluate(self, *arguments: object, **named: object) -> Evaluation:
        return self.evaluation


class _ReplayedNetwork(nn.Module):
    """A replacement of the network that returns stored energies, with a stored gradient."""

    def __init__(self, energies: Tensor, gradient: Tensor) -> None:
        super().__init__()
        self.energies, self.gradient = energies, gradient

    def forward(self, inputs: Inputs) -> Outputs:
        return {ENERGIES: _Repeat.apply(inputs.edge_vectors, self.energies, self.gradient)}


class _Repeat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, energies: Tensor, gradient: Tensor) -> Tensor:
        ctx.gradient = gradient
        return energies.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.gradient, None, None


class _FixedNeighbours(VerletList):
    """A replacement of the neighbour list that returns stored edges."""

    def __init__(self, like: VerletList, edge_index: Tensor, vectors: Tensor) -> None:
        super().__init__(like.cutoff, like.skin, like.pair_cutoffs, like.device)
        self.edges = (edge_index, vectors)

    def update(
        self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, species: np.ndarray
    ) -> tuple[Tensor, Tensor]:
        return self.edges
