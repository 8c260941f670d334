"""Graphs, the tensors of one frame, and batches of graphs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch

from equipot.contract import Inputs
from equipot.errors import DataError
from equipot.neighbours import PairCutoffs, neighbour_list
from equipot.neighbours.cell import volumes_of
from equipot.quantities import LABELS, Quantity
from equipot.species import SpeciesMap
from equipot.structures.frame import Frame


@dataclass
class Graph:
    """The edges and labels of one structure. The names of labels are those of `equipot.quantities`."""

    species: torch.Tensor  # Shape: (n_atoms,), int64, index into the type names
    edge_index: torch.Tensor  # Shape: (2, n_edges), int32, row 0 centre, row 1 neighbour, sorted by centre
    edge_vectors: torch.Tensor  # Shape: (n_edges, 3), float64, Å, r_ij = r_j - r_i
    positions: torch.Tensor  # Shape: (n_atoms, 3), float64, Å
    cell: torch.Tensor  # Shape: (3, 3), float64, Å, rows are the cell vectors
    pbc: torch.Tensor  # Shape: (3,), bool
    labels: dict[str, torch.Tensor] = field(default_factory=dict)  # float64
    config_type: int = 0  # index into the list of group names, see `graph_from_frame`

    @property
    def volume(self) -> float:
        """Cell volume in Å³; NaN without one, see `volume_of`."""
        return float(volumes_of(self.cell[None], self.pbc[None])[0])

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
    """Return the graph of a frame. A stress is left out if the frame has no volume.

    Args:
        frame: the structure.
        species: elements of the model.
        cutoffs: Å, one cutoff for all pairs, or cutoffs of pairs of elements.
        groups: names of the config_types. The graph stores the index of the frame's name, or 0 without `groups`.

    Raises:
        UnknownSpeciesError: an element is not in `species`.
        DataError: positions, cell or labels cannot be used, or the config_type is not in `groups`.
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
    expect_finite_labels(frame)
    group = 0
    if groups is not None:
        if frame.config_type not in groups:
            raise DataError(
                f"{frame.source or 'structure'}: config_type '{frame.config_type}' is not in {list(groups)}"
            )
        group = list(groups).index(frame.config_type)
    labels = {
        q.name: torch.from_numpy(np.array(frame.labels[q.name], dtype=np.float64))
        for q in LABELS
        if q.name in frame.labels and not (q.needs_volume and np.isnan(frame.volume))
    }
    return Graph(
        species=torch.from_numpy(index),
        edge_index=torch.from_numpy(edge_index.astype(np.int32)),
        edge_vectors=torch.from_numpy(vectors),
        positions=torch.from_numpy(np.array(frame.positions, dtype=np.float64)).reshape(-1, 3),
        cell=torch.from_numpy(np.array(frame.cell, dtype=np.float64)),
        pbc=torch.from_numpy(np.array(frame.pbc, dtype=bool)),
        labels=labels,
        config_type=group,
    )


def expect_finite_labels(frame: Frame) -> None:
    """Raise DataError for a label that is not finite."""
    for name, label in frame.labels.items():
        if not np.isfinite(label).all():
            raise DataError(
                f"{frame.source or 'structure'}: the label {name} is not finite; run `equipot check` on the set"
            )


@dataclass
class Batch:
    """Several graphs in one: G graphs with N atoms and E edges in total, concatenated."""

    inputs: Inputs  # inputs of the network
    n_atoms: torch.Tensor  # Shape: (G,), int64
    n_edges: torch.Tensor  # Shape: (G,), int64
    labels: dict[str, torch.Tensor]  # (G, …) or (N, …), float64, for every quantity; zero without a label
    labelled: dict[str, torch.Tensor]  # (G,), bool, whether the graph has the label
    config_type: torch.Tensor  # Shape: (G,), int64

    def __len__(self) -> int:
        return self.n_atoms.shape[0]

    @property
    def volume(self) -> torch.Tensor:
        """Cell volumes in Å³, shape (G,); NaN for graphs without one."""
        return volumes_of(self.inputs.cell, self.inputs.pbc)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """Return a copy on another device."""
        return self._map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """Return a copy in page-locked memory. torch's DataLoader calls this."""
        return self._map(lambda t: t.pin_memory())

    def _map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        def changed(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: change(tensor) for name, tensor in value.items()}
            return Inputs(*map(change, value)) if isinstance(value, Inputs) else change(value)

        return replace(self, **{f.name: changed(getattr(self, f.name)) for f in fields(self)})


def collate(graphs: Iterable[Graph]) -> Batch:
    """Join graphs to a batch, in their order. It may have no graphs, and graphs without atoms or edges."""
    graphs = list(graphs)
    n_atoms = torch.tensor([g.n_atoms for g in graphs], dtype=torch.int64)
    n_edges = torch.tensor([g.n_edges for g in graphs], dtype=torch.int64)
    first_atom = torch.cumsum(n_atoms, 0) - n_atoms
    no_vectors = torch.zeros(0, 3, dtype=torch.float64)
    edges = [torch.zeros((2, 0), dtype=torch.int64)]
    edges += [g.edge_index.to(torch.int64) + start for g, start in zip(graphs, first_atom.tolist())]
    inputs = Inputs(
        species=torch.cat([torch.zeros(0, dtype=torch.int64), *(g.species for g in graphs)]),
        edge_index=torch.cat(edges, dim=1),
        edge_vectors=torch.cat([no_vectors, *(g.edge_vectors for g in graphs)]),
        positions=torch.cat([no_vectors, *(g.positions for g in graphs)]),
        cell=torch.cat([no_vectors.reshape(0, 3, 3), *(g.cell[None] for g in graphs)]),
        pbc=torch.cat([no_vectors.bool(), *(g.pbc[None] for g in graphs)]),
        graph_of_atom=torch.repeat_interleave(torch.arange(len(graphs)), n_atoms),
    )
    return Batch(
        inputs=inputs,
        n_atoms=n_atoms,
        n_edges=n_edges,
        labels={q.name: _join(q, graphs) for q in LABELS},
        labelled={
            q.name: torch.tensor([q.name in g.labels for g in graphs], dtype=torch.bool) for q in LABELS
        },
        config_type=torch.tensor([g.config_type for g in graphs], dtype=torch.int64),
    )


def _join(quantity: Quantity, graphs: Sequence[Graph]) -> torch.Tensor:
    parts = [torch.zeros(0, *quantity.shape, dtype=torch.float64)]
    for graph in graphs:
        label = graph.labels.get(quantity.name)
        if label is None:
            label = torch.zeros(quantity.shape_of(graph.n_atoms), dtype=torch.float64)
        parts.append(label if quantity.per == "atom" else label[None])
    return torch.cat(parts)
