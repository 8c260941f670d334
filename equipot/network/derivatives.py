"""Forces, virial and stress from the gradient of the energy. Their signs are decided in this module alone."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from equipot import native
from equipot.contract import Inputs, Outputs
from equipot.quantities import ENERGIES


def forces_from(edge_gradient: Tensor, edge_index: Tensor, n_atoms: int) -> Tensor:
    """Return forces (n_atoms, 3) eV/Å: f_i += g, f_j -= g for every edge (r_ij = r_j - r_i).

    edge_gradient: (n_edges, 3) eV/Å; edge_index: (2, n_edges), centre and neighbour.
    """
    forces = edge_gradient.new_zeros(n_atoms, 3)
    return forces.index_add(0, edge_index[0], edge_gradient).index_add(0, edge_index[1], -edge_gradient)


def virials_from(edge_gradient: Tensor, edge_vectors: Tensor, owner: Tensor, n_owners: int) -> Tensor:
    """Return virials (n_owners, 3, 3) eV, -Σ r ⊗ g over the edges of each owner (a graph or an atom), symmetric.

    edge_gradient, edge_vectors: (n_edges, 3); owner: (n_edges,) int64.
    The stress is -virial / volume (eV/Å³, positive = tension).
    """
    outer = edge_vectors.unsqueeze(2) * edge_gradient.unsqueeze(1)
    return symmetric(edge_gradient.new_zeros(n_owners, 3, 3).index_add(0, owner, -outer))


def symmetric(tensors: Tensor) -> Tensor:
    """Return the symmetric part of (n, 3, 3). The virial of an invariant energy is symmetric up to rounding."""
    return 0.5 * (tensors + tensors.transpose(1, 2))


def collected(edge_gradient: Tensor, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Return forces (n_atoms, 3) and virials (n_graphs, 3, 3) of a batch by the compiled library, on the CPU."""
    forces, virial = native.collect(
        edge_gradient.numpy(),
        inputs.edge_vectors.detach().numpy(),
        inputs.edge_index.numpy(),
        inputs.graph_of_atom.numpy(),
        inputs.species.shape[0],
        inputs.cell.shape[0],
    )
    return torch.from_numpy(forces), torch.from_numpy(virial)


class Prediction(NamedTuple):
    """The prediction of a potential for a batch of graphs; float64."""

    outputs: Outputs  # all named outputs of the network
    energy: Tensor  # (n_graphs,) eV
    forces: Tensor  # (n_atoms, 3) eV/Å
    virial: Tensor  # (n_graphs, 3, 3) eV
    edge_gradient: Tensor  # (n_edges, 3) eV/Å, dE/dr_ij

    @property
    def atomic_energies(self) -> Tensor:
        """The energy of each atom (n_atoms,) eV."""
        return self.outputs[ENERGIES]

    def label(self, name: str, volume: Tensor) -> Tensor:
        """Return the prediction of a label (see `equipot.quantities`); volume: (n_graphs,) Å³."""
        if name == "energy":
            return self.energy
        if name == "forces":
            return self.forces
        if name == "stress":
            return -self.virial / volume[:, None, None]
        return self.outputs[name]


def energies_of(potential: nn.Module, inputs: Inputs) -> Outputs:
    """Return the outputs of a potential, without derivatives."""
    with torch.no_grad():
        return potential(inputs)


def predict(potential: nn.Module, inputs: Inputs, create_graph: bool = False) -> Prediction:
    """Run a potential on a graph or a batch of graphs and differentiate its energy.

    The energy depends on positions through the edge vectors. A potential with `reads_positions` also has terms that
    read positions and cell directly. Both parts of the gradient are added.

    Args:
        potential: Inputs -> Outputs, e.g. a `Potential` or the module of a `LoadedModel`.
        inputs: one graph or several.
        create_graph: keep the graph of the derivatives, which a loss on forces and stress needs.
    """
    n_atoms, n_graphs = inputs.species.shape[0], inputs.cell.shape[0]
    direct = bool(getattr(potential, "reads_positions", False))
    with torch.enable_grad():
        edges = inputs.edge_vectors.detach().requires_grad_(True)
        variables, moved = [edges], inputs._replace(edge_vectors=edges)
        if direct:
            strain = torch.zeros_like(inputs.cell).requires_grad_(True)
            positions = inputs.positions.detach().requires_grad_(True)
            moved = strained(moved._replace(positions=positions), strain)
            variables += [positions, strain]
        outputs = potential(moved)
        atomic = outputs[ENERGIES]
        energy = atomic.new_zeros(n_graphs).index_add(0, inputs.graph_of_atom, atomic)
        gradients = [torch.zeros_like(v) for v in variables]
        if energy.requires_grad and (direct or edges.shape[0] > 0):
            computed = torch.autograd.grad(
                energy.sum(), variables, create_graph=create_graph, allow_unused=True
            )
            gradients = [z if g is None else g for g, z in zip(computed, gradients, strict=True)]
    if not create_graph:
        outputs = {name: value.detach() for name, value in outputs.items()}
        energy = energy.detach()
    fixed = inputs.edge_vectors.detach()
    if not create_graph and fixed.device.type == "cpu" and native.available():
        forces, virial = collected(gradients[0], inputs)
    else:
        forces = forces_from(gradients[0], inputs.edge_index, n_atoms)
        owner = inputs.graph_of_atom[inputs.edge_index[0]]
        virial = virials_from(gradients[0], fixed, owner, n_graphs)
    if direct:
        forces, virial = forces - gradients[1], virial - symmetric(gradients[2])
    return Prediction(outputs, energy, forces, virial, gradients[0])


def strained(inputs: Inputs, strain: Tensor) -> Inputs:
    """Return inputs with strained positions and cell, x -> x (1 + ε), and unchanged edge vectors.

    strain: (n_graphs, 3, 3).
    """
    deformation = torch.eye(3, dtype=strain.dtype, device=strain.device) + symmetric(strain)
    positions = torch.einsum("na,nab->nb", inputs.positions, deformation[inputs.graph_of_atom])
    return inputs._replace(positions=positions, cell=inputs.cell @ deformation)
