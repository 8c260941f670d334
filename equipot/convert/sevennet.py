"""An equipot potential from a checkpoint of SevenNet (Park et al., J. Chem. Theory Comput. 2024).

A checkpoint holds a config and a state. They define this network:

- A linear map of the one-hot vector of the species gives the first features.
- Each layer is a linear map, convolution / denominator, a linear map, plus a self-connection, then the gate. The first
  layer has a self-connection too, so the energy of an isolated atom is not the shift.
- Models with several modalities append a one-hot vector of the modality to the scalars before some linear maps. For
  one modality this is a constant that is added after the map.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from ase.data import chemical_symbols
from torch import Tensor

from equipot.convert import e3nn_weights
from equipot.errors import ModelFileError
from equipot.irreps import Irrep, Irreps
from equipot.network.basis import SCALE
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec
from equipot.ops.coupling import wigner_3j

SCALAR = Irrep("0e")
# Provisional splines, until `resolution` chooses others.
PROVISIONAL = {"spline_order": 2, "n_knots": 1001}
OLD_NAMES = {"EdgeEmbedding": "edge_embedding", "rescale atomic energy": "rescale_atomic_energy",
             "reducing nn input to hidden": "reduce_input_to_hidden",
             "reducing nn hidden to energy": "reduce_hidden_to_energy"}  # fmt: skip


def is_sevennet(checkpoint: Mapping[str, Any]) -> bool:
    config = checkpoint.get("config")
    return isinstance(config, dict) and "model_state_dict" in checkpoint and "_type_map" in config


def read_sevennet(
    checkpoint: Mapping[str, Any], modality: str | None = None
) -> tuple[Potential, dict[str, Any]]:
    """Return a float64 potential with the weights of a checkpoint, and a record of its origin.

    Args:
        checkpoint: the result of `pickles.read_checkpoint`.
        modality: the level of theory, for a model with several; None for a model with one.

    Raises:
        ModelFileError: the architecture is not NequIP's, the modality is unknown, or weights have other shapes.
    """
    try:
        return _Reader(checkpoint, modality).read()
    except ModelFileError as error:
        # Values of the config may be any text, with several lines.
        raise ModelFileError(" ".join(str(error).split())[:400]) from None
    except KeyError as error:
        raise ModelFileError(f"the checkpoint has no {error}; expected a checkpoint of SevenNet") from None
    except (ArithmeticError, AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"the checkpoint is not as SevenNet writes it ({type(error).__name__}: {str(error)[:100]})"
        ) from None


@dataclass(frozen=True)
class _Product:
    """A path of SevenNet's tensor product, and the columns of its radial weights."""

    block: int
    l_edge: int
    out: Irrep
    columns: slice


class _Reader:
    def __init__(self, checkpoint: Mapping[str, Any], modality: str | None) -> None:
        self.config: dict[str, Any] = checkpoint["config"]
        value = self.config.get("version")
        version = value if isinstance(value, str) else type(value).__name__
        self.version = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
        if len(self.version) < 3:
            raise ModelFileError(
                f"the checkpoint has the SevenNet version '{version}'; expected a number such as 0.11.0"
            )
        self.state = {_present_name(k): v for k, v in checkpoint["model_state_dict"].items()}
        self._refuse_other_networks()
        types = {int(z): int(i) for z, i in self.config["_type_map"].items() if int(z) > 0}
        self.rows = [i for _, i in sorted(types.items(), key=lambda item: item[1])]
        self.type_names = [chemical_symbols[z] for z, _ in sorted(types.items(), key=lambda item: item[1])]
        self.n_onehot = int(self.config["_number_of_species"])
        self.modality, self.n_modalities = self._modality(modality)
        self.irreps_edge, self.layer_irreps, self.product_irreps = self._irreps()

    def weights(self, name: str) -> Tensor:
        return self.state[name].to(torch.float64)

    def _refuse_other_networks(self) -> None:
        c = self.config
        activations = {"e": "silu", "o": "tanh"}
        wrong = None
        if c.get("interaction_type", "nequip") != "nequip":
            wrong = f"interaction_type {c['interaction_type']}; expected nequip"
        elif any(c.get(key, activations) != activations for key in ("act_scalar", "act_gate")):
            wrong = f"act_scalar {c.get('act_scalar')}, act_gate {c.get('act_gate')}; expected silu and tanh"
        elif c.get("act_radial", "silu") not in ("silu", "ssp", "tanh"):
            wrong = f"act_radial {c['act_radial']}; expected silu, ssp or tanh"
        elif c["cutoff_function"]["cutoff_function_name"] not in ("XPLOR", "poly_cut"):
            wrong = (
                f"cutoff function {c['cutoff_function']['cutoff_function_name']}; expected XPLOR or poly_cut"
            )
        if wrong:
            raise ModelFileError(f"this SevenNet checkpoint has {wrong}")

    def _modality(self, name: str | None) -> tuple[int, int]:
        """Return the index of the modality, and the number of modalities (0: the model has none)."""
        known = dict(self.config.get("_modal_map") or {}) if self.config.get("use_modality") else {}
        if not known:
            if name is not None:
                raise ModelFileError(
                    f"modality '{name}' was requested, but the model has none; leave --modality out"
                )
            return 0, 0
        if name not in known:
            choice = "none was given" if name is None else f"'{name}' was given"
            raise ModelFileError(
                f"the model has the modalities {', '.join(known)}, but {choice}; choose one, for example with "
                f"`equipot convert … --modality {next(iter(known))}`, and use the file that this writes"
            )
        return int(known[name]), len(known)

    def _irreps(self) -> tuple[Irreps, list[Irreps], list[Irreps]]:
        """Return irreps of the edges, of the features (first, and after each layer), and of each layer's products."""
        c, n = self.config, int(self.config["num_convolution_layer"])
        l_edge = c["lmax_edge"] if c.get("lmax_edge", -1) > 0 else c["lmax"]
        l_node = c["lmax_node"] if c.get("lmax_node", -1) > 0 else c["lmax"]
        edge = Irreps.spherical_harmonics(l_edge, -1 if c["is_parity"] else 1)
        manual = c.get("irreps_manual") or None
        x = _checked(Irreps(manual[0]), [SCALAR]) if manual else Irreps([(c["channel"], (0, 1))])
        features, products = [x], []
        for t in range(n):
            last = t == n - 1
            reached = sorted(
                {out for _, a in x for _, b in edge for out in a * b if not (last and out.p == -1)}
            )
            if manual:
                hidden = _checked(Irreps(manual[t + 1]), reached)
            else:
                l_most = 0 if last else l_node
                hidden = Irreps([(c["channel"], ir) for ir in reached if ir.l <= l_most])
            products.append(Irreps([(1, ir) for ir in reached if ir.l <= hidden.lmax]))
            features.append(hidden)
            x = hidden
        return edge, features, products

    def spec(self) -> PotentialSpec:
        c = self.config
        n = len(self.layer_irreps) - 1
        kinds = c["self_connection_type"]
        kinds = [kinds] * n if isinstance(kinds, str) else list(kinds)
        names = {"none": "none", "nequip": "species", "linear": "linear"}
        if any(kind not in names for kind in kinds):
            raise ModelFileError(f"its self-connections are {kinds}; expected none, nequip or linear")
        envelope = c["cutoff_function"]
        cutoff = float(c["cutoff"])
        xplor = envelope["cutoff_function_name"] == "XPLOR"
        hidden = [int(width) for width in c["weight_nn_hidden_neurons"]]
        readout = (
            [int(width) for width in c["readout_fcn_hidden_neurons"]] if c.get("readout_as_fcn") else None
        )
        frequencies = self._frequencies() * cutoff
        denominator = float(self.state["0_convolution.denominator"])
        return PotentialSpec(
            type_names=self.type_names,
            cutoff=cutoff,
            pair_cutoffs=[[cutoff] * len(self.type_names)] * len(self.type_names),
            hidden_irreps=str(self.layer_irreps[1]),
            n_layers=n,
            l_max=self.irreps_edge.lmax,
            even=not c["is_parity"],
            type_embedding=self.layer_irreps[0].dim,
            n_bessel=len(frequencies),
            envelope="xplor" if xplor else "polynomial",
            envelope_p=int(envelope.get("poly_cut_p_value", 6)),
            xplor_onset=float(envelope["cutoff_on"]) / cutoff if xplor else 0.8,
            radial_depth=len(hidden),
            radial_width=max(hidden, default=1),
            readout_hidden=readout,
            zbl=False,
            dtype="float64",
            e0=self._shift_and_scale("shift"),
            scales=self._shift_and_scale("scale"),
            # equipot divides sums by the square root of this number.
            neighbours=[max(1.0, denominator**2)] * len(self.type_names),
            layer_irreps=[str(irreps) for irreps in self.layer_irreps[1:]],
            self_connections=[names[kind] for kind in kinds],  # type: ignore[misc]
            biases=bool(c.get("use_bias_in_linear")) or self.n_modalities > 0,
            frequencies=frequencies.tolist(),
            # Checkpoints that lack the option are not normalised, for example 7net-0 of May 2024.
            solid_harmonics=not c.get("_normalize_sph", self.version >= (0, 10, 0)),
            radial_hidden=hidden,
            radial_activation=c.get("act_radial", "silu"),
            readout_activation=self._readout_activation(),
            **PROVISIONAL,  # type: ignore[arg-type]
        )

    def _frequencies(self) -> Tensor:
        """Return the frequencies of the Bessel functions (1/Å), which SevenNet rounds to float32 if untrained."""
        trained = self.state.get("edge_embedding.basis_function.coeffs")
        if trained is not None:
            return trained.to(torch.float64)
        count = int(self.config["radial_basis"].get("bessel_basis_num", 8))
        cutoff = float(self.config["cutoff"])
        return torch.tensor([n * math.pi / cutoff for n in range(1, count + 1)], dtype=torch.float32).double()

    def _readout_activation(self) -> Any:
        name = self.config.get("readout_fcn_activation") if self.config.get("readout_as_fcn") else "silu"
        if name not in ("silu", "ssp", "tanh", "relu"):
            raise ModelFileError(f"the readout's activation is {name}; expected silu, ssp, tanh or relu")
        return name

    def _shift_and_scale(self, name: str) -> list[float]:
        """Return shift or scale of each species; stored as one number, per species, or per modality and species."""
        values = self.weights(f"rescale_atomic_energy.{name}")
        if values.dim() == 2:
            values = values[self.modality]
        if values.numel() == 1:
            return [float(values)] * len(self.rows)
        return values[self.rows].tolist()

    def read(self) -> tuple[Potential, dict[str, Any]]:
        potential = Potential(self.spec())
        with torch.no_grad():
            self._embedding(potential)
            for t, layer in enumerate(potential.layers):
                self._layer(potential, t, layer)
            self._readout(potential)
        origin = {"package": "sevenn", "version": self.config["version"]}
        if self.n_modalities:
            origin["modality"] = next(k for k, v in self.config["_modal_map"].items() if v == self.modality)
        return potential, origin

    def _map(
        self, name: str, irreps_in: Irreps, irreps_out: Irreps, modal: bool
    ) -> tuple[dict[Irrep, Tensor], Tensor]:
        """Return the matrices of a linear map, and the constants of all even scalars of its output."""
        extra = self.n_modalities if modal else 0
        wide = irreps_in + Irreps([(extra, SCALAR)]) if extra else irreps_in
        matrices = e3nn_weights.linear(wide, irreps_out, self.weights(f"{name}.linear.weight"))
        constant = torch.zeros(sum(mul for mul, ir in irreps_out if ir == SCALAR), dtype=torch.float64)
        if extra:
            n_features = matrices[SCALAR].shape[0] - extra
            constant = constant + matrices[SCALAR][n_features + self.modality]
            matrices[SCALAR] = matrices[SCALAR][:n_features]
        bias = self.state.get(f"{name}.linear.bias")
        if bias is not None and bias.numel():
            constant = constant + bias.to(torch.float64)
        return matrices, constant

    def _modal(self, key: str) -> bool:
        return self.n_modalities > 0 and bool(self.config.get(key))

    def _embedding(self, potential: Potential) -> None:
        onehot = Irreps([(self.n_onehot, SCALAR)])
        modal = self._modal("use_modal_node_embedding")
        matrices, constant = self._map("onehot_to_feature_x", onehot, self.layer_irreps[0], modal)
        potential.embedding.weight.copy_((matrices[SCALAR] + constant)[self.rows])

    def _layer(self, potential: Potential, t: int, layer: Any) -> None:
        x, gate = self.layer_irreps[t], _gate_irreps(self.layer_irreps[t + 1])
        matrices, constant = self._map(
            f"{t}_self_interaction_1", x, x, self._modal("use_modal_self_inter_intro")
        )
        _fill(layer.linear_in, matrices)
        if layer.bias_in is not None:
            layer.bias_in.bias.copy_(constant)

        products, mid = self._products(t)
        self._radial(t, layer, products)
        modal = self._modal("use_modal_self_inter_outro")
        matrices, constant = self._map(f"{t}_self_interaction_2", mid, gate, modal)
        # equipot's layers share `neighbours`, so the ratio to each layer's denominator goes into its matrices.
        ratio = math.sqrt(potential.spec.neighbours[0]) / float(self.state[f"{t}_convolution.denominator"])
        _fill(layer.linear_out, {ir: m * ratio for ir, m in matrices.items()})
        if layer.bias_out is not None:
            layer.bias_out.bias.copy_(constant)

        kind = potential.spec.self_connections_of_layers[t]
        if kind == "linear":
            matrices, constant = self._map(f"{t}_self_connection_intro", x, gate, False)
            _fill(layer.self_connection, matrices)
            if layer.bias_out is not None:
                layer.bias_out.bias.add_(constant)
        elif kind == "species":
            flat = self.weights(f"{t}_self_connection_intro.fc_tensor_product.weight")
            stacks = e3nn_weights.by_species(x, gate, flat, self.n_onehot)
            _fill(layer.self_connection, {ir: m[self.rows] for ir, m in stacks.items()})

    def _products(self, t: int) -> tuple[list[_Product], Irreps]:
        """Return the paths of a layer's tensor product, and its output, sorted by irrep."""
        allowed = {ir for _, ir in self.product_irreps[t]}
        candidates = [
            (mul, block, edge.l, out)
            for block, (mul, ir) in enumerate(self.layer_irreps[t])
            for _, edge in self.irreps_edge
            for out in ir * edge
            if out in allowed
        ]
        by_output = sorted(range(len(candidates)), key=lambda k: (candidates[k][3], k))
        mid = Irreps([(candidates[k][0], candidates[k][3]) for k in by_output])
        # Before 0.11 the columns of the weights were not sorted with the output.
        order = by_output if self.version >= (0, 11, 0) else range(len(candidates))
        products, start = [], 0
        for k in order:
            mul, block, l_edge, out = candidates[k]
            products.append(_Product(block, l_edge, out, slice(start, start + mul)))
            start += mul
        return products, mid

    def _radial(self, t: int, layer: Any, products: Sequence[_Product]) -> None:
        n = len(layer.radial.layers)
        weights = [self.weights(f"{t}_convolution.weight_nn.layer{i}.weight") for i in range(n)]
        matrices = e3nn_weights.perceptron(weights)
        # SevenNet's basis is (2 / cutoff) sin(c r) / r; equipot's is SCALE · sin(f u) / u with u = r / cutoff.
        matrices[0] = matrices[0] * (2 / float(self.config["cutoff"]) ** 2 / SCALE)
        columns = {(p.block, p.l_edge, p.out): p.columns for p in products}
        last = matrices.pop()
        for own, theirs in zip(layer.radial.layers, matrices):
            _copy(own.weight, theirs)
        for path in layer.paths.paths:
            sign = self._sign(t, layer.irreps_in[path.block].ir.l, path.l_edge, path.out.l)
            part = last[:, columns[path.block, path.l_edge, path.out]] * sign
            _copy(layer.radial.layers[-1].weight[:, path.weights], part)

    def _sign(self, t: int, l_in: int, l_edge: int, l_out: int) -> float:
        """Return the sign of the checkpoint's Clebsch-Gordan coefficients relative to e3nn's: 1, or -1 in old ones."""
        name = f"{t}_convolution.convolution._compiled_main_left_right._w3j_{l_in}_{l_edge}_{l_out}"
        theirs = self.state.get(name)
        if theirs is None:
            return 1.0
        own = wigner_3j(l_in, l_edge, l_out)
        for sign in (1.0, -1.0):
            if torch.allclose(theirs.to(torch.float64), sign * own, atol=1e-5):
                return sign
        raise ModelFileError(
            f"the checkpoint's Clebsch-Gordan coefficients for l = {l_in}, {l_edge}, {l_out} are not e3nn's"
        )

    def _readout(self, potential: Potential) -> None:
        x = self.layer_irreps[-1]
        if self.config.get("readout_as_fcn"):
            count = len(potential.read.layers)
            weights = [self.weights(f"readout_FCN.fcn.layer{i}.weight") for i in range(count)]
            for own, theirs in zip(potential.read.layers, e3nn_weights.perceptron(weights)):
                _copy(own.weight, theirs.T)
            return
        # Two consecutive linear maps are one linear map, and a constant of the energy.
        hidden, one = Irreps([(x.dim // 2, SCALAR)]), Irreps([(1, SCALAR)])
        first, constant = self._map(
            "reduce_input_to_hidden", x, hidden, self._modal("use_modal_output_block")
        )
        second, last = self._map("reduce_hidden_to_energy", hidden, one, False)
        _copy(potential.read.layers[0].weight, (first[SCALAR] @ second[SCALAR]).T)
        potential.e0.add_((constant @ second[SCALAR] + last) * potential.scales)


def _present_name(name: str) -> str:
    """Return the present name of a weight; until version 0.9 names of modules had spaces."""
    module, dot, weight = name.partition(".")
    module = OLD_NAMES.get(module, module).replace(" ", "_")
    return module + dot + weight.replace("denumerator", "denominator")


def _checked(irreps: Irreps, reached: Collection[Irrep]) -> Irreps:
    """Return the irreps; raise ModelFileError if equipot has no such features.

    The output of SevenNet's gate has scalars first. If irreps_manual has another order, the next layer takes vectors
    for scalars, and its results change under rotation.
    """
    kinds = [ir for _, ir in irreps]
    is_scalar = [ir.l == 0 for ir in kinds]
    expected = None
    if is_scalar != sorted(is_scalar, reverse=True):
        expected = "scalars first, because SevenNet takes vectors for scalars otherwise"
    elif len(set(kinds)) < len(kinds) or SCALAR not in kinds:
        expected = "each irrep once, and 0e among them"
    elif not set(kinds) <= set(reached):
        expected = f"only irreps that the layer before can reach ({', '.join(map(str, sorted(reached)))})"
    if expected:
        raise ModelFileError(
            f"this SevenNet checkpoint has {irreps} in its irreps_manual; expected {expected}"
        )
    return irreps


def _gate_irreps(irreps: Irreps) -> Irreps:
    """Return the input irreps of e3nn's gate for these output irreps: scalars, gates, gated irreps."""
    scalars = [(mul, ir) for mul, ir in irreps if ir.l == 0]
    gated = [(mul, ir) for mul, ir in irreps if ir.l > 0]
    parity = 1 if any(ir == SCALAR for _, ir in scalars) else -1
    gates = [(mul, (0, parity)) for mul, _ in gated]
    return (Irreps(scalars) + Irreps(gates) + Irreps(gated)).simplify()


def _fill(linear: Any, matrices: Mapping[Irrep, Tensor]) -> None:
    reached = {ir for _, ir in linear.irreps_in}
    for _, ir in linear.irreps_out:
        if ir in reached:
            _copy(linear.matrix(ir), matrices[ir])


def _copy(own: Any, theirs: Tensor) -> None:
    if theirs.dim() == 2 and own.dim() == 3:
        theirs = theirs.unsqueeze(0)
    if own.shape != theirs.shape:
        raise ModelFileError(f"it has weights of shape {tuple(theirs.shape)}; expected {tuple(own.shape)}")
    own.copy_(theirs)
