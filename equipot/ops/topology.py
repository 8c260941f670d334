"""The edges of a graph in the order that the convolution needs: rows of a sparse matrix and of its transpose."""

from typing import NamedTuple

import torch
from torch import Tensor

from equipot.ops import engine
from equipot.ops.registration import register


class Topology(NamedTuple):
    """The sorted edges of a graph. The first `n_centres` of its `n_atoms` atoms are centres, the others ghosts."""

    centre: Tensor  # (n_edges,) int64, ascending
    neighbour: Tensor  # (n_edges,) int64
    rowptr: Tensor  # (n_centres + 1,) int64: edges rowptr[i]:rowptr[i + 1] belong to centre i
    transpose_rowptr: (
        Tensor  # (n_atoms + 1,) int64: entries [j]:[j + 1] of transpose_edges have the neighbour j
    )
    transpose_edges: Tensor  # (n_edges,) int64: edge numbers sorted by neighbour


def topology(edge_index: Tensor, n_centres: int, n_atoms: int) -> Topology:
    """Return the sorted views of an edge list.

    Args:
        edge_index: (2, n_edges) int64, row 0 the centre, ascending; row 1 the neighbour.
        n_centres: number of atoms that receive messages; they are the first atoms.
        n_atoms: number of atoms that send messages, at least `n_centres`.

    Raises:
        RuntimeError: indices out of range or centres not ascending (TorchScript has no other class).
    """
    rowptr, transpose_rowptr, transpose_edges = torch.ops.equipot.topology(edge_index, n_centres, n_atoms)
    return Topology(edge_index[0], edge_index[1], rowptr, transpose_rowptr, transpose_edges)


def by_reference(edge_index: Tensor, n_centres: int, n_atoms: int) -> tuple[Tensor, Tensor, Tensor]:
    """Compute rowptr, transpose_rowptr and transpose_edges in plain torch, for other devices."""
    centre, neighbour = edge_index[0], edge_index[1]
    if centre.numel() > 0:
        if bool((centre[1:] < centre[:-1]).any()):
            raise RuntimeError("edge_index is not sorted by centre; expected its row 0 to ascend")
        if int(centre[0]) < 0 or int(centre[-1]) >= n_centres:
            raise RuntimeError("edge_index names a centre outside the graph")
        if int(neighbour.min()) < 0 or int(neighbour.max()) >= n_atoms:
            raise RuntimeError("edge_index names a neighbour outside the graph")
    rows = torch.arange(n_centres + 1, device=edge_index.device)
    by_neighbour, transpose_edges = torch.sort(neighbour, stable=True)
    columns = torch.arange(n_atoms + 1, device=edge_index.device)
    return (
        torch.searchsorted(centre.contiguous(), rows),
        torch.searchsorted(by_neighbour, columns),
        transpose_edges,
    )


def _compiled(edge_index: Tensor, n_centres: int, n_atoms: int) -> tuple[Tensor, Tensor, Tensor]:
    if not engine.serves(edge_index):
        return by_reference(edge_index, n_centres, n_atoms)
    return engine.sorting_of(edge_index)(edge_index, n_centres, n_atoms).topology()


register(
    "topology(Tensor edge_index, int n_centres, int n_atoms) -> (Tensor, Tensor, Tensor)",
    by_reference,
    _compiled,
)
