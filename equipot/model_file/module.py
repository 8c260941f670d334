"""The network of a model file: it has tables in place of radial networks, and the attributes that C++ reads."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from equipot.contract import Inputs, Outputs
from equipot.model_file.selftest import TOLERANCE
from equipot.model_file.structure import Sizes
from equipot.network.potential import Potential, radial_networks
from equipot.network.radial import RadialNetwork, RadialTable
from equipot.network.spec import PotentialSpec
from equipot.ops import Topology, topology


def sizes_of(module: Any) -> Sizes:
    """Return the sizes of the network of a model file."""
    tables = [b for name, b in module.named_buffers() if name.endswith("radial.table")]
    return Sizes(sum(p.numel() for p in module.parameters()), sum(b.numel() for b in tables))


def exact_table(spec: PotentialSpec, layer: Any) -> Tensor:
    """Return the table of a layer's radial network, computed in float64 and rounded to the dtype of the weights.

    In float32 the slopes of steep radial functions would lose up to two digits.
    """
    with torch.random.fork_rng(devices=[]):  # a training may write a file in its middle
        exact = radial_networks(spec)(layer.paths)
    weights = layer.radial.state_dict()
    exact.load_state_dict(weights)
    (like, *_) = weights.values()
    return exact().detach().to(like)


class DeployedPotential(nn.Module):
    """A potential ready for inference, with the same `forward` and segments as `Potential`.

    Attributes:
        self_test: species, edge_index, edge_vectors, atomic energies (n_atoms,) and dE/dr_ij (n_edges, 3) of each
            structure; C++ compares its results with these.
        radial_weights: weights of the radial networks that the tables replace, for a training that starts from the
            file.
    """

    self_test: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]]
    radial_weights: dict[str, Tensor]

    def __init__(self, potential: Potential, format_version: int) -> None:
        super().__init__()
        frozen = copy.deepcopy(potential).eval().requires_grad_(False)
        self.radial_weights = {}
        for k, layer in enumerate(frozen.layers):
            if isinstance(layer.radial, RadialNetwork):
                for name, value in layer.radial.state_dict().items():
                    self.radial_weights[f"layers.{k}.radial.{name}"] = value
                layer.radial = RadialTable(exact_table(frozen.spec, layer), layer.radial.doubled_knot)
        self.potential = frozen
        self.format_version = format_version
        self.type_names = frozen.type_names
        self.cutoff = frozen.cutoff
        self.pair_cutoffs = frozen.pair_cutoffs.clone()
        self.n_layers = frozen.n_layers
        self.reads_positions = frozen.reads_positions
        self.feature_dims = frozen.feature_dims
        self.dtype = frozen.spec.dtype
        self.self_test_tolerance = TOLERANCE[frozen.spec.dtype]
        self.self_test = []

    def forward(self, inputs: Inputs) -> Outputs:
        return self.potential(inputs)

    @torch.jit.export
    def on_graph(self, inputs: Inputs, graph: Topology) -> Outputs:
        return self.potential.on_graph(inputs, graph)

    @torch.jit.export
    def topology(self, edge_index: Tensor, n_centres: int, n_atoms: int) -> Topology:
        return topology(edge_index, n_centres, n_atoms)

    @torch.jit.export
    def embed(self, species: Tensor) -> Tensor:
        return self.potential.embed(species)

    @torch.jit.export
    def outgoing(self, k: int, features: Tensor) -> Tensor:
        return self.potential.outgoing(k, features)

    @torch.jit.export
    def interact(
        self, k: int, features: Tensor, sent: Tensor, species: Tensor, edge_vectors: Tensor, graph: Topology
    ) -> Tensor:
        return self.potential.interact(k, features, sent, species, edge_vectors, graph)

    @torch.jit.export
    def readout(self, features: Tensor, species: Tensor, edge_vectors: Tensor, graph: Topology) -> Outputs:
        return self.potential.readout(features, species, edge_vectors, graph)
