"""From a frame to tensors, and from graphs to one batch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from equipot.errors import DataError
from equipot.neighbours import PairCutoffs, neighbour_list
from equipot.structures.frame import Frame
from equipot.structures.species import SpeciesMap


@dataclass
class Graph:
    """One structure and its labels. A label that is not there is zero, and its flag says so."""

    species: torch.Tensor  # Shape: (n_atoms,), int64, index into the type names
    edge_index: torch.Tensor  # Shape: (2, n_edges), int32, row 0 centre, row 1 neighbour, sorted by centre
    edge_vectors: torch.Tensor  # Shape: (n_edges, 3), float64, Å, r_ij = r_j - r_i
    volume: torch.Tensor  # Shape: (), float64, Å³, NaN unless periodic in all directions
    energy: torch.Tensor  # Shape: (), float64, eV, of the whole structure
    forces: torch.Tensor  # Shape: (n_atoms, 3), float64, eV/Å
    stress: torch.Tensor  # Shape: (3, 3), float64, eV/Å³, positive = tension
    has_energy: bool
    has_forces: bool
    has_stress: bool
    config_type: int = 0  # index into the list of group names the graph was built with

    @property
    def n_atoms(self) -> int:
        return self.species.shape[0]

    @property
    def n_edges(self) -> int:
        return self.edge_index.shape[1]


def graph_from_frame(
    frame: Frame,
    species: SpeciesMap,
    cutoffs: PairCutoffs | float,
    groups: Sequence[str] | None = None,
) -> Graph:
    """The graph of a frame.

    Parameters
    ----------
    cutoffs : Å, one number or by pair of elements
    groups : names of config_types; the graph stores the frame's place among them (0 without them)

    A stress label is kept only for frames with a volume, that is periodic in all directions. Raises
    UnknownSpeciesError for an element outside `species`, DataError for positions, cell or labels that cannot
    be used.
    """
    index = species.index(frame.numbers, frame.source or "the structure")
    if not isinstance(cutoffs, PairCutoffs):
        cutoffs = PairCutoffs.from_config(species.names, cutoffs)
    try:
        edge_index, _, vectors = neighbour_list(
            frame.positions,
            frame.cell,
            frame.pbc,
            cutoffs.cutoff,
            species=index,
            pair_cutoffs=cutoffs.matrix,
        )
    except DataError as error:
        raise DataError(f"{frame.source or 'structure'}: {error}") from None
    for name in ("energy", "forces", "stress"):
        label = getattr(frame, name)
        if label is not None and not np.isfinite(label).all():
            raise DataError(
                f"{frame.source or 'structure'}: the {name} is not finite; run `equipot check` on the set"
            )
    group = 0
    if groups is not None:
        if frame.config_type not in groups:
            raise DataError(
                f"{frame.source or 'structure'}: config_type '{frame.config_type}' is not in {list(groups)}"
            )
        group = list(groups).index(frame.config_type)
    volume = frame.volume
    has_stress = frame.stress is not None and bool(np.isfinite(volume))
    n = len(frame)
    return Graph(
        species=torch.from_numpy(index),
        edge_index=torch.from_numpy(edge_index.astype(np.int32)),
        edge_vectors=torch.from_numpy(vectors),
        volume=torch.tensor(volume, dtype=torch.float64),
        energy=torch.tensor(0.0 if frame.energy is None else frame.energy, dtype=torch.float64),
        forces=_float64(frame.forces, (n, 3)),
        stress=_float64(frame.stress if has_stress else None, (3, 3)),
        has_energy=frame.energy is not None,
        has_forces=frame.forces is not None,
        has_stress=has_stress,
        config_type=group,
    )


def _float64(array: np.ndarray | None, shape: tuple[int, ...]) -> torch.Tensor:
    if array is None:
        return torch.zeros(shape, dtype=torch.float64)
    return torch.from_numpy(np.array(array, dtype=np.float64)).reshape(shape)


@dataclass
class Batch:
    """Graphs side by side: atoms and edges concatenated, labels stacked; G graphs, N atoms, E edges."""

    species: torch.Tensor  # Shape: (N,), int64
    edge_index: torch.Tensor  # Shape: (2, E), int64, row 0 centre, row 1 neighbour, sorted by centre
    edge_vectors: torch.Tensor  # Shape: (E, 3), float64, Å
    graph_of_atom: torch.Tensor  # Shape: (N,), int64
    n_atoms: torch.Tensor  # Shape: (G,), int64
    n_edges: torch.Tensor  # Shape: (G,), int64
    volume: torch.Tensor  # Shape: (G,), float64, Å³, NaN unless fully periodic
    energy: torch.Tensor  # Shape: (G,), float64, eV
    forces: torch.Tensor  # Shape: (N, 3), float64, eV/Å
    stress: torch.Tensor  # Shape: (G, 3, 3), float64, eV/Å³
    has_energy: torch.Tensor  # Shape: (G,), bool
    has_forces: torch.Tensor  # Shape: (G,), bool
    has_stress: torch.Tensor  # Shape: (G,), bool
    config_type: torch.Tensor  # Shape: (G,), int64

    def __len__(self) -> int:
        return self.n_atoms.shape[0]

    @property
    def graph_of_edge(self) -> torch.Tensor:
        """(E,) int64, the graph each edge belongs to."""
        return self.graph_of_atom[self.edge_index[0]]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """A copy on another device."""
        return self._map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """A copy in page-locked memory (called by torch's DataLoader)."""
        return self._map(lambda t: t.pin_memory())

    def _map(self, change: Any) -> "Batch":
        return replace(self, **{f.name: change(getattr(self, f.name)) for f in fields(self)})


def collate(graphs: Iterable[Graph]) -> Batch:
    """One batch of graphs, in their order. Zero graphs, graphs without atoms or without edges are fine."""
    graphs = list(graphs)
    n_atoms = torch.tensor([g.n_atoms for g in graphs], dtype=torch.int64)
    n_edges = torch.tensor([g.n_edges for g in graphs], dtype=torch.int64)
    first_atom = torch.cumsum(n_atoms, 0) - n_atoms
    empty = torch.zeros(0, dtype=torch.float64)
    edges = [torch.zeros((2, 0), dtype=torch.int64)]
    edges += [g.edge_index.to(torch.int64) + start for g, start in zip(graphs, first_atom.tolist())]
    return Batch(
        species=torch.cat([torch.zeros(0, dtype=torch.int64), *(g.species for g in graphs)]),
        edge_index=torch.cat(edges, dim=1),
        edge_vectors=torch.cat([empty.reshape(0, 3), *(g.edge_vectors for g in graphs)]),
        graph_of_atom=torch.repeat_interleave(torch.arange(len(graphs)), n_atoms),
        n_atoms=n_atoms,
        n_edges=n_edges,
        volume=torch.stack([g.volume for g in graphs]) if graphs else empty,
        energy=torch.stack([g.energy for g in graphs]) if graphs else empty,
        forces=torch.cat([empty.reshape(0, 3), *(g.forces for g in graphs)]),
        stress=torch.stack([g.stress for g in graphs]) if graphs else empty.reshape(0, 3, 3),
        has_energy=torch.tensor([g.has_energy for g in graphs], dtype=torch.bool),
        has_forces=torch.tensor([g.has_forces for g in graphs], dtype=torch.bool),
        has_stress=torch.tensor([g.has_stress for g in graphs], dtype=torch.bool),
        config_type=torch.tensor([g.config_type for g in graphs], dtype=torch.int64),
    )
