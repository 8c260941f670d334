"""From g = dE/dr_ij to forces, virial and stress: the one place where signs are decided."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from equipot.ops import engine


def forces_from(edge_gradient: Tensor, edge_index: Tensor, n_atoms: int) -> Tensor:
    """Forces (n_atoms, 3) eV/Å: f_i += g, f_j -= g for every edge (r_ij = r_j - r_i).

    edge_gradient: (n_edges, 3) eV/Å; edge_index: (2, n_edges), centre and neighbour.
    """
    forces = edge_gradient.new_zeros(n_atoms, 3)
    return forces.index_add(0, edge_index[0], edge_gradient).index_add(0, edge_index[1], -edge_gradient)


def virials_from(edge_gradient: Tensor, edge_vectors: Tensor, owner: Tensor, n_owners: int) -> Tensor:
    """Virials (n_owners, 3, 3) eV, -Σ r ⊗ g over the edges of each owner (a graph or an atom), symmetric.

    edge_gradient, edge_vectors: (n_edges, 3); owner: (n_edges,) int64.
    The stress is -virial / volume (eV/Å³, positive = tension).
    """
    outer = edge_vectors.unsqueeze(2) * edge_gradient.unsqueeze(1)
    virial = edge_gradient.new_zeros(n_owners, 3, 3).index_add(0, owner, -outer)
    return 0.5 * (virial + virial.transpose(1, 2))  # symmetric for an invariant energy; this removes rounding


class Prediction(NamedTuple):
    """Everything a potential says about a batch of graphs; float64."""

    atomic_energies: Tensor  # (n_atoms,) eV
    energy: Tensor  # (n_graphs,) eV
    forces: Tensor  # (n_atoms, 3) eV/Å
    virial: Tensor  # (n_graphs, 3, 3) eV
    edge_gradient: Tensor  # (n_edges, 3) eV/Å


def predict(
    potential: nn.Module,
    species: Tensor,
    edge_index: Tensor,
    edge_vectors: Tensor,
    graph_of_atom: Tensor | None = None,
    n_graphs: int = 1,
    create_graph: bool = False,
) -> Prediction:
    """Run a potential on one graph or a batch of them and differentiate it.

    Args:
        potential: species, edge_index, edge_vectors -> atomic energies.
        species, edge_index, edge_vectors: see `Potential.forward`.
        graph_of_atom: (n_atoms,) int64; None: one graph.
        n_graphs: number of graphs.
        create_graph: keep what a loss on the forces needs.
    """
    n_atoms = species.shape[0]
    if graph_of_atom is None:
        graph_of_atom = torch.zeros_like(species)
    with torch.enable_grad():
        vectors = edge_vectors.detach().requires_grad_(True)
        atomic = potential(species, edge_index, vectors)
        energy = atomic.new_zeros(n_graphs).index_add(0, graph_of_atom, atomic)
        gradient = torch.zeros_like(vectors)
        if vectors.shape[0] > 0:
            (gradient,) = torch.autograd.grad(energy.sum(), vectors, create_graph=create_graph)
    if not create_graph:
        atomic, energy = atomic.detach(), energy.detach()
    fixed = edge_vectors.detach()
    if not create_graph and fixed.device.type == "cpu" and engine.available():
        forces, virial = engine.collect(gradient, fixed, edge_index, graph_of_atom, n_graphs)
    else:
        forces = forces_from(gradient, edge_index, n_atoms)
        virial = virials_from(gradient, fixed, graph_of_atom[edge_index[0]], n_graphs)
    return Prediction(atomic, energy, forces, virial, gradient)
