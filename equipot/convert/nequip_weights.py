"""An equipot potential from the description and weights of a NequIP network, with the same energies.

Formulas of nequip 0.7 to 0.19 (`nequip.nn`) for an edge of length r, with x = r / cutoff of its pair:

- basis: (2π / r_max²) · sinc(w x) · w · envelope(x) with sinc(y) = sin(πy) / (πy), and one r_max for all pairs.
- perceptrons: matrices (n_in, n_out) times gain / √n_in. The gain is √2 after an activation, else 1. equipot
  normalises activations, nequip does not.
- layers: linear map, division by √(average number of neighbours), tensor product weighted by the perceptron, sum,
  linear map. All layers but the first add a tensor product with the type's embedding, which is one matrix for each
  type. Then the gate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from ase.data import atomic_numbers
from torch import Tensor

from equipot.convert import e3nn_weights
from equipot.convert.nequip_description import EMBEDDING, Description, State
from equipot.convert.nequip_les import refuse_les_modules
from equipot.errors import ModelFileError
from equipot.irreps import Irrep, Irreps
from equipot.network.activation import activation_gain
from equipot.network.basis import SCALE
from equipot.network.interaction import Interaction
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec

# Provisional splines, until `resolution` chooses others.
PROVISIONAL: dict[str, Any] = {"spline_order": 3, "n_knots": 257}
_READ = {"type_embed", "spharm", "edge_norm", "bessel_encode", "factor", "per_atom_energy_readout",
         "per_type_energy_scale_shift", "pair_potential", "total_energy_sum"}  # fmt: skip


def potential(description: Description, state: State) -> Potential:
    """Return a float64 potential; raise ModelFileError if equipot has no such network or weights are missing."""
    return _Reader(description, state).read()


class _Reader:
    def __init__(self, description: Description, state: State) -> None:
        self.d = description
        self.state = {name: t.to(torch.float64) for name, t in state.items()}
        self.n_layers = len(description.layer_irreps)
        known = _READ | {f"layer{k}_convnet" for k in range(self.n_layers)}
        unknown = ({name.split(".")[0] for name in state} | set(description.names)) - known
        refuse_les_modules(unknown)
        if unknown:
            raise ModelFileError(f"its network has {', '.join(sorted(unknown))}, which equipot does not have")
        self._check()

    def _check(self) -> None:
        d = self.d
        not_elements = [name for name in d.type_names if name not in atomic_numbers]
        if not_elements:
            raise ModelFileError(
                f"its types of atoms have the names {', '.join(not_elements)}; expected chemical symbols"
            )
        l_max = d.edge_irreps.lmax
        if d.edge_irreps not in [Irreps.spherical_harmonics(l_max, p=p) for p in (-1, 1)] or l_max > 4:
            raise ModelFileError(
                f"its spherical harmonics are {d.edge_irreps}; expected all orders up to l_max, which is at most 4"
            )
        for irreps in d.layer_irreps:
            if len({ir for _, ir in irreps}) != len(irreps):
                raise ModelFileError(f"a layer has the irreps {irreps}; expected each irrep once")
        if d.cutoff_p != int(d.cutoff_p):
            raise ModelFileError(f"its cutoff has the exponent {d.cutoff_p}; expected a whole number")
        if len(set(d.sent_norms)) != 1:
            raise ModelFileError(
                "its avg_num_neighbors depend on the type, which equipot does not have; expected one for all types"
            )

    def weights(self, name: str) -> Tensor:
        if name not in self.state:
            raise ModelFileError(f"it lacks the weights {name}, which networks of nequip 0.7 to 0.19 have")
        return self.state[name]

    def spec(self) -> PotentialSpec:
        d = self.d
        n = len(d.type_names)
        embedding, pair_cutoffs = self.weights(EMBEDDING), self._pair_cutoffs()
        roots = self.weights("bessel_encode.bessel_weights").flatten()
        trained = not torch.equal(roots, torch.arange(1, len(roots) + 1, dtype=torch.float64))
        hidden = [self._widths(f"layer{k}_convnet.conv.edge_mlp") for k in range(self.n_layers)]
        if hidden != hidden[:1] * self.n_layers:
            raise ModelFileError(
                f"its layers have radial networks of different widths, {hidden}; expected one width"
            )
        if n != embedding.shape[0]:
            raise ModelFileError(f"it has embeddings of {embedding.shape[0]} types, but names of {n} types")
        layers = [_scalars_first(irreps) for irreps in d.layer_irreps]
        return PotentialSpec(
            type_names=d.type_names,
            cutoff=max(max(row) for row in pair_cutoffs),
            pair_cutoffs=pair_cutoffs,
            hidden_irreps=str(layers[0]),
            n_layers=self.n_layers,
            l_max=d.edge_irreps.lmax,
            even=d.edge_irreps.lmax > 0 and all(ir.p == 1 for _, ir in d.edge_irreps),
            type_embedding=embedding.shape[1],
            n_bessel=len(roots),
            envelope="polynomial",
            envelope_p=int(d.cutoff_p),
            xplor_onset=0.8,
            radial_depth=len(hidden[0]),
            radial_width=max(hidden[0], default=1),
            readout_hidden=self._readout_widths(),
            zbl=self._zbl(),
            dtype="float64",
            e0=self._of_types("shifts", 0.0),
            scales=self._of_types("scales", 1.0),
            neighbours=[max(1.0, d.sent_norms[0] ** -2)] * n,
            layer_irreps=[str(irreps) for irreps in layers],
            self_connections=[
                "species" if f"layer{k}_convnet.conv.sc.weight" in self.state else "none"
                for k in range(self.n_layers)
            ],
            frequencies=(math.pi * roots).tolist() if trained else None,
            radial_hidden=hidden[0],
            readout_activation=self._readout_activation(),
            zbl_range="cutoff",
            **PROVISIONAL,
        )

    def _pair_cutoffs(self) -> list[list[float]]:
        """Return the pair cutoffs in Å; nequip stores their reciprocals."""
        n = len(self.d.type_names)
        reciprocals = self.weights("edge_norm._rmax_recip").flatten().tolist()
        lengths = [_length(x) for x in reciprocals] * (n * n if len(reciprocals) == 1 else 1)
        if len(lengths) != n * n or not all(0 < x < math.inf for x in lengths):
            raise ModelFileError(
                f"it has {len(reciprocals)} pair cutoffs for {n} types; expected one for each pair"
            )
        return [lengths[i * n : (i + 1) * n] for i in range(n)]

    def _matrices(self, name: str) -> list[Tensor]:
        """Return the stored matrices (n_in, n_out) of a perceptron."""
        for pattern in ("mlp.{}.weight", "mlp.weights.{}"):
            numbers = sorted(int(i) for i in range(64) if f"{name}.{pattern.format(i)}" in self.state)
            if numbers:
                return [self.weights(f"{name}.{pattern.format(i)}") for i in numbers]
        raise ModelFileError(
            f"it lacks the weights {name}.mlp.0.weight, which networks of nequip 0.7 to 0.19 have"
        )

    def _widths(self, name: str) -> list[int]:
        return [int(w.shape[1]) for w in self._matrices(name)[:-1]]

    def _readout_widths(self) -> list[int] | None:
        widths = self._widths("per_atom_energy_readout.mlp_module")
        return widths if widths and not self._readout_is_linear() else None

    def _readout_is_linear(self) -> bool:
        return self.d.readout_activation in (None, "None", "null")

    def _readout_activation(self) -> Any:
        name = self.d.readout_activation
        if self._readout_widths() is None:
            return "silu"
        if name not in ("silu", "mish", "gelu", "ssp", "tanh"):
            raise ModelFileError(
                f"its readout has the activation {name}; expected silu, mish, gelu, ssp or tanh"
            )
        return name

    def _of_types(self, name: str, default: float) -> list[float]:
        values = self.state.get(f"per_type_energy_scale_shift.{name}", torch.empty(0)).flatten().tolist()
        n = len(self.d.type_names)
        if len(values) not in (0, 1, n):
            raise ModelFileError(f"it has {len(values)} per-type energy {name} for {n} types")
        return values if len(values) == n else (values or [default]) * n

    def _zbl(self) -> bool:
        if "pair_potential.atomic_numbers" not in self.state:
            if any(name.startswith("pair_potential.") for name in self.state):
                raise ModelFileError("it has a pair potential that is not ZBL")
            return False
        numbers = self.weights("pair_potential.atomic_numbers").tolist()
        if numbers != [atomic_numbers[name] for name in self.d.type_names]:
            raise ModelFileError(
                f"its ZBL repulsion has the atomic numbers {numbers}, but its types are {', '.join(self.d.type_names)}"
            )
        if self.d.pair_cutoff_p != 6:
            raise ModelFileError(
                f"its ZBL repulsion has a cutoff of exponent {self.d.pair_cutoff_p:g}; expected 6"
            )
        if not 7.0 < float(self.weights("pair_potential._qqr2exesquare")) < 7.5:
            raise ModelFileError("its ZBL repulsion is not in eV and Å (units: metal)")
        return True

    def read(self) -> Potential:
        spec = self.spec()
        made = Potential(spec)
        if any(self.d.residual):
            same = [layer.irreps_in == layer.irreps_out for layer in made.layers]
            made = Potential(replace(spec, residuals=[a and b for a, b in zip(same, self.d.residual)]))
        with torch.no_grad():
            _copy(made.embedding.weight, self.weights(EMBEDDING))
            irreps = made.embedding.irreps_out
            for k, layer in enumerate(made.layers):
                assert isinstance(layer, Interaction)
                self._layer(f"layer{k}_convnet.conv", layer, irreps)
                irreps = layer.irreps_out
            self._readout(made)
            if made.zbl is not None:
                z = self.weights("pair_potential.atomic_numbers")
                # nequip's constant contains the factor 1/2 of a pair's energy.
                made.zbl.pair_charge.copy_(
                    2 * self.weights("pair_potential._qqr2exesquare") * torch.outer(z, z).flatten()
                )
        return made

    def _layer(self, name: str, layer: Any, x: Irreps) -> None:
        # e3nn's gate takes scalars, gates and gated irreps in sorted order, equal irreps side by side.
        gate = layer.gate.irreps_in.sorted()
        mid = layer.paths.irreps_out
        _fill(layer.linear_in, e3nn_weights.by_species(x, x, self.weights(f"{name}.linear_1.weight"), 1))
        _fill(
            layer.linear_out, e3nn_weights.by_species(mid, gate, self.weights(f"{name}.linear_2.weight"), 1)
        )
        layer.neighbour_scale.fill_(self.d.sent_norms[0])
        if layer.self_connection is not None:
            embedding = self.weights(EMBEDDING)
            flat = self.weights(f"{name}.sc.weight")
            stacks = e3nn_weights.by_species(x, gate, flat, embedding.shape[1])
            contracted = {ir: torch.einsum("sa,aio->sio", embedding, m) for ir, m in stacks.items()}
            _fill(layer.self_connection, contracted)
        matrices = _perceptron(self._matrices(f"{name}.edge_mlp"), "silu")
        # nequip's basis is 2 / r_max² · sin(f u) / u; equipot's is SCALE · sin(f u) / u.
        matrices[0] = matrices[0] * (2 / self.d.r_max**2 / SCALE)
        # The columns of the last matrix belong to the paths in equipot's order: by input, harmonics, output.
        for own, theirs in zip(layer.radial.layers, matrices, strict=True):
            _copy(own.weight, theirs)

    def _readout(self, made: Potential) -> None:
        stored = self._matrices("per_atom_energy_readout.mlp_module")
        if made.spec.readout_hidden is None:
            # Consecutive linear maps are one map. They have the gain of an activation only if that is "None".
            gain = 1.0 if self.d.readout_activation is None else math.sqrt(2)
            whole = torch.eye(stored[0].shape[0], dtype=torch.float64)
            for i, w in enumerate(stored):
                whole = whole @ w * ((gain if i else 1.0) / math.sqrt(w.shape[0]))
            _copy(made.read.layers[0].weight, whole.T)
            return
        for own, theirs in zip(
            made.read.layers, _perceptron(stored, made.spec.readout_activation), strict=True
        ):
            _copy(own.weight, theirs.T)


def _scalars_first(irreps: Irreps) -> Irreps:
    """Return irreps in the order of a layer's output: scalars first."""
    parts = [(mul, ir) for mul, ir in irreps if mul > 0]
    return Irreps([p for p in parts if p[1].l == 0] + [p for p in parts if p[1].l > 0])


def _length(reciprocal: float) -> float:
    """Return 1 / reciprocal, as the short decimal number that has exactly this reciprocal if one exists."""
    length = 1 / reciprocal if reciprocal > 0 else math.inf
    short = round(length, 9)
    return short if short > 0 and 1 / short == reciprocal else length


def _perceptron(stored: Sequence[Tensor], activation: str) -> list[Tensor]:
    gain = math.sqrt(2) / activation_gain(activation)
    return [w * ((gain if i else 1.0) / math.sqrt(w.shape[0])) for i, w in enumerate(stored)]


def _fill(linear: Any, matrices: Mapping[Irrep, Tensor]) -> None:
    reached = {ir for _, ir in linear.irreps_in}
    for _, ir in linear.irreps_out:
        if ir in reached:
            _copy(linear.matrix(ir), matrices[ir])


def _copy(own: Any, theirs: Tensor) -> None:
    if own.shape != theirs.shape:
        raise ModelFileError(
            f"it has weights of shape {tuple(theirs.shape)}, but its options give the shape {tuple(own.shape)}"
        )
    own.copy_(theirs)
