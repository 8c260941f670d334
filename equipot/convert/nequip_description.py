"""The description of a NequIP network apart from its weights, from the options of its builder."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from equipot.errors import ModelFileError
from equipot.irreps import Irreps

State = dict[str, Tensor]
EMBEDDING = "type_embed.embed_module.weight"

# nequip's builders; the last two gave energies only and existed until 0.15.
BUILDERS = ("NequIPGNNModel", "PresetNequIPGNNModel", "FullNequIPGNNModel", "NequIPGNNEnergyModel",
            "FullNequIPGNNEnergyModel")  # fmt: skip
_PRESETS: dict[str, dict[str, Any]] = {
    "S": {"num_layers": 2, "l_max": 1, "num_features": [128, 64]},
    "M": {"num_layers": 4, "l_max": 2, "num_features": [128, 64, 32]},
    "L": {"num_layers": 6, "l_max": 3, "num_features": [128, 64, 32, 32]},
    "XL": {"num_layers": 6, "l_max": 4, "num_features": [320, 96, 64, 32, 32]},
}
# Options of a builder that follow from the weights, or that change no energy.
_NOT_NEEDED = {"_target_", "seed", "model_dtype", "compile_mode", "preset", "type_embed_num_features",
               "radial_mlp_depth", "radial_mlp_width", "num_bessels", "per_edge_type_cutoff",
               "readout_mlp_hidden_layers_depth", "readout_mlp_hidden_layers_width", "do_derivatives",
               "convnet_sc", "learnable_shift", "per_type_energy_scales",
               "per_type_energy_shifts"}  # fmt: skip
_USED = {"r_max", "type_names", "num_layers", "l_max", "parity", "num_features", "feature_irreps_hidden",
         "irreps_edge_sh", "bessel_trainable", "polynomial_cutoff_p", "avg_num_neighbors",
         "per_type_energy_scales_trainable", "per_type_energy_shifts_trainable", "pair_potential",
         "readout_mlp_nonlinearity", "convnet_resnet", "convnet_nonlinearity_type",
         "convnet_nonlinearity_scalars", "convnet_nonlinearity_gates",
         "categorical_graph_field_embed"}  # fmt: skip


@dataclass(frozen=True)
class Description:
    """The description of a network.

    Attributes:
        names: names of its modules, in order; () if they must be read from the weights.
        type_names: names of its types of atoms.
        r_max: Å, the longest cutoff.
        edge_irreps: irreps of the spherical harmonics.
        layer_irreps: hidden irreps of each layer as in the options; a layer may not reach all of them.
        residual: whether each layer adds its input to its output, if both have the same irreps.
        cutoff_p, pair_cutoff_p: exponents of the polynomial cutoffs of the network and of the pair potential.
        sent_norms: factors of the features that an atom sends: one for all types, or one for each.
        readout_activation: activation of a readout with hidden layers. None: no activation. "None": no activation, but
            weights scaled as with one.
        trained: the names among bessel_weights, scales and shifts that are trained parameters.
    """

    names: tuple[str, ...]
    type_names: list[str]
    r_max: float
    edge_irreps: Irreps
    layer_irreps: list[Irreps]
    residual: list[bool]
    cutoff_p: float
    pair_cutoff_p: float
    sent_norms: list[float]
    readout_activation: str | None
    trained: frozenset[str]


def prefix_of_only_network(state: Mapping[str, Any]) -> str:
    """Return the prefix of the tensor names in a state dict; raise ModelFileError unless it holds one network."""
    prefixes = [name.removesuffix(EMBEDDING) for name in state if name.endswith(EMBEDDING)]
    if len(prefixes) != 1:
        networks = f"{len(prefixes)} networks ({', '.join(prefixes)[:120]})" if prefixes else "no network"
        raise ModelFileError(f"it holds {networks} of NequIP; expected one, and no other architecture")
    return prefixes[0]


def from_options(options: Mapping[str, Any], version: tuple[int, ...]) -> Description:
    """Return the description from the arguments of a builder of nequip, with the defaults of its version."""
    builder = str(options.get("_target_", "")).split(".")[-1]
    c = {**_PRESETS.get(str(options.get("preset")).upper(), {}), **options}
    if builder == "PresetNequIPGNNModel":
        c.setdefault("parity", False)
    unknown = sorted(set(c) - _USED - _NOT_NEEDED)
    if unknown:
        raise ModelFileError(f"it was built with {', '.join(unknown)}, which equipot does not have")
    _check(c)
    full = builder.startswith("Full")
    edge, layers = _explicit_irreps(c) if full else _simple_irreps(c, version)
    pair = c.get("pair_potential")
    p = float(c.get("polynomial_cutoff_p", 6))
    trained = {
        name
        for name, option in (
            ("bessel_weights", "bessel_trainable"),
            ("scales", "per_type_energy_scales_trainable"),
            ("shifts", "per_type_energy_shifts_trainable"),
        )
        if c.get(option)
    }
    return Description(
        names=(),
        type_names=list(c["type_names"]),
        r_max=float(c["r_max"]),
        edge_irreps=edge,
        layer_irreps=layers,
        # Not in the first layer, where isolated atoms would get features, unless their energies are learnt.
        residual=[
            bool(c.get("convnet_resnet")) and (k > 0 or bool(c.get("learnable_shift")))
            for k in range(len(layers))
        ],
        cutoff_p=p,
        # Until 0.16 pair potentials shared the exponent of the network.
        pair_cutoff_p=float(pair.get("polynomial_cutoff_p", 6.0 if version >= (0, 17) else p)) if pair else p,
        sent_norms=_sent_norms(c.get("avg_num_neighbors"), c["type_names"]),
        readout_activation=c.get("readout_mlp_nonlinearity", "silu"),
        trained=frozenset(trained),
    )


def _check(c: Mapping[str, Any]) -> None:
    gate = {"e": "silu", "o": "tanh"}
    for option in ("convnet_nonlinearity_scalars", "convnet_nonlinearity_gates"):
        if dict(c.get(option) or gate) != gate:
            raise ModelFileError(f"{option} is {c[option]}; expected silu for even and tanh for odd scalars")
    if c.get("convnet_nonlinearity_type", "gate") != "gate":
        raise ModelFileError(f"convnet_nonlinearity_type is {c['convnet_nonlinearity_type']}; expected gate")
    if c.get("categorical_graph_field_embed"):
        raise ModelFileError("it embeds fields of the whole structure (categorical_graph_field_embed)")
    pair = c.get("pair_potential")
    if pair and str(pair.get("_target_", "")).split(".")[-1] != "ZBL":
        raise ModelFileError(f"its pair potential is {pair.get('_target_')}; expected ZBL or none")


def _explicit_irreps(c: Mapping[str, Any]) -> tuple[Irreps, list[Irreps]]:
    edge = c["irreps_edge_sh"]
    edge = Irreps.spherical_harmonics(edge) if isinstance(edge, int) else Irreps(edge)
    return edge, [Irreps(irreps) for irreps in c["feature_irreps_hidden"]]


def _simple_irreps(c: Mapping[str, Any], version: tuple[int, ...]) -> tuple[Irreps, list[Irreps]]:
    l_max, parity, n = int(c.get("l_max", 1)), bool(c.get("parity", True)), c.get("num_features", 32)
    orders = range(l_max + 1)
    if version >= (0, 16):
        channels = [n] * (l_max + 1) if isinstance(n, int) else list(n)
        edge = Irreps.spherical_harmonics(l_max)
        hidden = [
            (channels[l], (l, p)) for l in orders for p in ((1, -1) if parity else (1 if l % 2 == 0 else -1,))
        ]
    else:
        # Without parity, the harmonics were even too. With parity, all even irreps came first.
        channels = [int(n)] * (l_max + 1)
        edge = Irreps.spherical_harmonics(l_max, p=-1 if parity else 1)
        hidden = [(channels[l], (l, p)) for p in ((1, -1) if parity else (1,)) for l in orders]
    layers = [Irreps(hidden)] * (int(c.get("num_layers", 4)) - 1)
    return edge, [*layers, Irreps([(channels[0], (0, 1))])]


def _sent_norms(number: Any, type_names: list[str]) -> list[float]:
    if number is None:
        return [1.0]
    numbers = [number[name] for name in type_names] if isinstance(number, dict) else [number]
    return [1 / math.sqrt(n) for n in numbers]
