"""What goes into a potential and what comes out: the one argument and the one result of every network."""

from typing import Dict, NamedTuple  # noqa: UP035  TorchScript reads the alias below

import torch
from torch import Tensor

# Named quantities, each per atom (first dimension n_atoms) or per structure (n_graphs); ENERGIES is always among them.
Outputs = Dict[str, Tensor]  # noqa: UP006

ENERGIES = "energies"  # (n_atoms,) eV float64: per-atom energies, under the name that ASE gives them


class Inputs(NamedTuple):
    """A graph, or several side by side.

    Networks read species and edges. Positions, cell, pbc and the graph of each atom are for terms beyond the edges,
    which interact further than the cutoff.
    """

    species: Tensor  # (n_atoms,) int64, index into the model's type names
    edge_index: Tensor  # (2, n_edges) int64, row 0 the centre, ascending; row 1 the neighbour
    edge_vectors: Tensor  # (n_edges, 3) Å float64, r_ij = r_j - r_i + shift·cell
    positions: Tensor  # (n_atoms, 3) Å float64
    cell: Tensor  # (n_graphs, 3, 3) Å float64, rows are the cell vectors
    pbc: Tensor  # (n_graphs, 3) bool
    graph_of_atom: Tensor  # (n_atoms,) int64


def edges_only(species: Tensor, edge_index: Tensor, edge_vectors: Tensor) -> Inputs:
    """One structure that is known by its edges alone: its positions and cell are NaN, so whatever reads them shows it.

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
    """Return the same graph on a device."""
    return Inputs(*(tensor.to(device) for tensor in inputs))
