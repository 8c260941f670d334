"""The potential: it maps a graph of atoms to named quantities, per-atom energies among them.

    outputs = potential(inputs)

LAMMPS calls its segments `embed`, `outgoing(k)`, `interact(k)` and `readout` one by one. After `outgoing` it copies the
features that atoms of other ranks send to the ghosts.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from equipot.contract import Inputs, Outputs
from equipot.irreps import Irreps
from equipot.network.basis import distance_powers, harmonic_frequencies, knots, radial_basis
from equipot.network.core import DEPTH, Core
from equipot.network.embedding import TypeEmbedding
from equipot.network.grade import ExtrapolationGrade
from equipot.network.interaction import Interaction
from equipot.network.members import Members
from equipot.network.program import Program
from equipot.network.radial import RadialNetwork
from equipot.network.readout import Readout
from equipot.network.spec import PotentialSpec
from equipot.network.zbl import ZBL
from equipot.ops import ConvolutionPaths, Topology, topology

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def radial_networks(spec: PotentialSpec) -> Callable[[ConvolutionPaths], RadialNetwork]:
    """Return the function that builds the radial network of a layer from its paths."""
    frequencies = spec.frequencies or harmonic_frequencies(spec.n_bessel)
    u = knots(spec.n_knots, spec.doubled_knot)
    basis = radial_basis(u, frequencies, spec.envelope, spec.envelope_p, spec.xplor_onset, spec.stretch)

    def build(paths: ConvolutionPaths) -> RadialNetwork:
        factor = None
        if spec.solid_harmonics:
            orders = [p.l_edge for p in paths.paths for _ in range(p.mul)]
            factor = distance_powers(u, spec.cutoff, orders)
        return RadialNetwork(
            basis,
            spec.radial_widths,
            [path.weights for path in paths.paths],
            spec.spline_order,
            spec.doubled_knot,
            spec.radial_activation,
            factor,
        )

    return build


class Potential(nn.Module):
    """A NequIP network with reference energies: E_i = E0[s_i] + scale[s_i] · network_i (+ core or ZBL).

    Network weights have the spec's dtype, to which the float64 edge vectors are cast. Reference energies, pair cutoffs,
    core, ZBL and the atomic energies are float64. An atom without neighbours has exactly E0 if no layer has a bias and
    the first layer has no self-connection. This holds for every network that a config describes.

    Args:
        spec: the description of the network.
        seed: seed of the initial weights. Both dtypes have the same initial weights up to rounding.
    """

    # Whether a term of the energy depends on positions and cell other than through edge vectors; see `predict`.
    reads_positions: ClassVar[bool] = False
    e0: Tensor
    scales: Tensor
    pair_cutoffs: Tensor
    inverse_cutoffs: Tensor

    def __init__(self, spec: PotentialSpec, seed: int = 0) -> None:
        super().__init__()
        self.spec = spec
        self.type_names = list(spec.type_names)
        self.n_species = len(spec.type_names)
        self.n_layers = spec.n_layers
        self.cutoff = spec.cutoff
        self.dtype = DTYPES[spec.dtype]
        pair_cutoffs = torch.tensor(spec.pair_cutoffs, dtype=torch.float64)
        self.one_cutoff = bool((pair_cutoffs == spec.cutoff).all())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = TypeEmbedding(self.n_species, spec.type_embedding)
            layers: list[Interaction] = []
            irreps = self.embedding.irreps_out
            by_sender = spec.neighbours_of == "neighbour"
            out_scale = torch.tensor(spec.neighbours, dtype=torch.float64).clamp(min=1.0).rsqrt()
            layerwise = spec.irreps_of_layers, spec.self_connections_of_layers, spec.residuals_of_layers
            for hidden, kind, residual in zip(*layerwise, strict=True):
                layer = Interaction(
                    irreps_in=irreps,
                    hidden=Irreps(hidden),
                    l_max=spec.l_max,
                    edge_parity=1 if spec.even else -1,
                    self_connection=kind,
                    neighbours=[1.0] * self.n_species if by_sender else spec.neighbours,
                    radial=radial_networks(spec),
                    biases=spec.biases,
                    out_scale=out_scale.clone() if by_sender and len(layers) < spec.n_layers - 1 else None,
                    residual=residual,
                    norms=spec.norms,
                    bound=spec.bound,
                    layer_norm=spec.layer_norm,
                )
                layers.append(layer)
                irreps = layer.irreps_out
            self.layers = nn.ModuleList(layers)
            self.read = Readout(irreps.dim, spec.readout_hidden, spec.readout_activation)
        self.grade = (
            ExtrapolationGrade(self.n_species, self.read.width, torch.float64) if spec.grade else None
        )
        self.feature_dims = [int(layer.irreps_in.dim) for layer in layers]
        self.to(self.dtype)
        # Registered after the cast, so that these tensors stay float64.
        self.zbl = ZBL(self.type_names, pair_cutoffs, spec.zbl_range) if spec.zbl else None
        self.core = (
            Core(self.type_names, torch.tensor(spec.core_radii, dtype=torch.float64))
            if spec.core_radii is not None
            else None
        )
        self.members = Members(spec.members, self.read.width) if spec.members else None
        self.register_buffer("e0", torch.tensor(spec.e0, dtype=torch.float64))
        self.register_buffer("scales", torch.tensor(spec.scales, dtype=torch.float64))
        self.register_buffer("pair_cutoffs", pair_cutoffs)
        inverse = (1 / pair_cutoffs).flatten()
        self.register_buffer("inverse_cutoffs", inverse[:1] if self.one_cutoff else inverse)

    @torch.jit.unused
    def program(self) -> Program | None:
        """Return the operators of this network for the runtime; None if it has outputs that the runtime lacks."""
        if type(self) is not Potential:
            return None
        program = Program(self.dtype)
        program.header.update(
            type_names=self.type_names,
            cutoff=self.cutoff,
            pair_cutoffs=program.double(self.pair_cutoffs),
            inverse_cutoffs=program.real(self.inverse_cutoffs),
        )
        if self.zbl is not None:
            self.zbl.write(program)
        if self.core is not None:
            self.core.write(program)
        x = self.embedding.write(program)
        for k, layer in enumerate(self.layers):
            # The features of the first layer depend on the species alone, so ghosts have them already.
            assert isinstance(layer, Interaction)
            x = layer.write(program, x, exchanged=k > 0)
        features = self.read.write_hidden(program, x)
        if self.grade is not None:
            self.grade.write(program, features)
        # Backwards, the last linear map comes first and sets the gradient to which a member adds.
        if self.members is not None:
            self.members.write(program, features, self.scales)
        energy = self.read.write_last(program, features)
        program.add("energies", x=energy, scales=program.double(self.scales), e0=program.double(self.e0))
        return program

    def forward(self, inputs: Inputs) -> Outputs:
        """Return the named outputs of the atoms of one graph or several; "energies" (n_atoms,) eV is among them."""
        n_atoms = inputs.species.shape[0]
        return self.on_graph(inputs, topology(inputs.edge_index, n_atoms, n_atoms))

    @property
    @torch.jit.unused
    def shortest_u(self) -> float:
        """The shortest distance over cutoff that the radial functions see; 0 without a core."""
        return 0.0 if self.core is None else float((1 - DEPTH) * self.core.radii.min()) / self.cutoff

    @torch.jit.export
    def on_graph(self, inputs: Inputs, graph: Topology) -> Outputs:
        """Return the result of `forward` from edges that are sorted already."""
        x = self._through_layers(inputs, graph)
        return self.readout(x, inputs.species, inputs.edge_vectors, graph)

    @torch.jit.unused
    def last_features(self, inputs: Inputs, graph: Topology) -> Tensor:
        """Return the features of the atoms before the last linear map, (n_atoms, read.width)."""
        return self.read(self._through_layers(inputs, graph))[1]

    def _through_layers(self, inputs: Inputs, graph: Topology) -> Tensor:
        x = self.embed(inputs.species)
        vectors = self._seen_by_network(inputs.species, inputs.edge_vectors, graph)
        for k in range(self.n_layers):
            x = self._interact(k, x, self.outgoing(k, x), inputs.species, vectors, graph)
        return x

    @torch.jit.export
    def embed(self, species: Tensor) -> Tensor:
        """Return the first features (n_atoms, feature_dims[0]) of the species (n_atoms,)."""
        return self.embedding(species)

    @torch.jit.export
    def outgoing(self, k: int, x: Tensor) -> Tensor:
        """Run the first half of layer k: return the features that atoms send, in the shape of their features x."""
        out = x
        for i, interaction in enumerate(self.layers):
            if i == k:
                out = interaction.outgoing(x)  # type: ignore[operator]
        return out

    @torch.jit.export
    def interact(
        self, k: int, x: Tensor, sent: Tensor, species: Tensor, edge_vectors: Tensor, graph: Topology
    ) -> Tensor:
        """Run the second half of layer k: return new features of the centres.

        x: features of the centres; sent: the result of `outgoing` for all atoms, ghosts included.
        """
        vectors = self._seen_by_network(species, edge_vectors, graph)
        return self._interact(k, x, sent, species, vectors, graph)

    def _seen_by_network(self, species: Tensor, edge_vectors: Tensor, graph: Topology) -> Tensor:
        if self.core is not None:
            edge_vectors = self.core.seen_by_network(species, edge_vectors, graph)
        return edge_vectors

    def _interact(
        self, k: int, x: Tensor, sent: Tensor, species: Tensor, vectors: Tensor, graph: Topology
    ) -> Tensor:
        vectors = vectors.to(x.dtype)
        if self.one_cutoff:
            inverse_cutoff = self.inverse_cutoffs
        else:
            pair = species.index_select(0, graph.centre) * self.n_species
            pair = pair + species.index_select(0, graph.neighbour)
            inverse_cutoff = self.inverse_cutoffs.index_select(0, pair)
        out = x
        for i, interaction in enumerate(self.layers):
            if i == k:
                inverse = inverse_cutoff.to(x.dtype)
                out = interaction.interact(x, sent, species, vectors, inverse, graph)  # type: ignore[operator]
        return out

    @torch.jit.export
    def readout(self, x: Tensor, species: Tensor, edge_vectors: Tensor, graph: Topology) -> Outputs:
        """Return the named outputs of the centres from the features of the last layer (n_centres, …)."""
        centres = species[: x.shape[0]]
        number, features = self.read(x)
        energy = number.to(torch.float64) * self.scales.index_select(0, centres)
        if self.zbl is not None:
            energy = energy + self.zbl(species, edge_vectors, graph)
        if self.core is not None:
            energy = energy + self.core(species, edge_vectors, graph)
        outputs = {"energies": energy + self.e0.index_select(0, centres)}
        if self.grade is not None:
            outputs["gamma"] = self.grade(features, centres)
        return outputs
