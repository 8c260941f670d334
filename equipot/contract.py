"""The input and the output of a potential: every network takes `Inputs` and returns `Outputs`."""

from typing import Dict, NamedTuple  # noqa: UP035  TorchScript reads the alias below

import torch
from torch import Tensor

# Quantities by name. The first dimension is n_atoms or n_graphs. `quantities.ENERGIES` is always present.
Outputs = Dict[str, Tensor]  # noqa: UP006


class Inputs(NamedTuple):
    """One graph, or the graphs of a batch in one.

    Networks use the species and the edges. Positions, cell, pbc and graph_of_atom are for interactions beyond the
    cutoff.
    """

    species: Tensor  # (n_atoms,) int64, index into the model's type names
    edge_index: Tensor  # (2, n_edges) int64, row 0 the centre, ascending; row 1 the neighbour
    edge_vectors: Tensor  # (n_edges, 3) Å float64, r_ij = r_j - r_i + shift·cell
    positions: Tensor  # (n_atoms, 3) Å float64
    cell: Tensor  # (n_graphs, 3, 3) Å float64, rows are the cell vectors
    pbc: Tensor  # (n_graphs, 3) bool
    graph_of_atom: Tensor  # (n_atoms,) int64


def edges_only(species: Tensor, edge_index: Tensor, edge_vectors: Tensor) -> Inputs:
    """Return the inputs of one structure from its edges alone.

    Its positions and cell are NaN, so a network that uses them gives NaN.

    Args:
        species, edge_index, edge_vectors: see `Inputs`.
    """
    nan = float("nan")
    return Inputs(
        species,
        edge_index,
        edge_vectors,
        positions=edge_vectors.new_full((species.shape[0], 3), nan),
        cell=edge_vectors.new_full((1, 3, 3), nan),
        pbc=torch.zeros(1, 3, dtype=torch.bool, device=species.device),
        graph_of_atom=torch.zeros_like(species),
    )


def on_device(inputs: Inputs, device: torch.device | str) -> Inputs:
    """Return a copy of the inputs on a device."""
    return Inputs(*(tensor.to(device) for tensor in inputs))
