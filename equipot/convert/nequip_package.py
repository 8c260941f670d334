"""Packages of NequIP, `*.nequip.zip` of `nequip-package build`: zip files with a pickled network and its code.

`torch.package` would run the code. Here the pickle is read as records of modules: their tensors, children and settings
(see `nequip_inert`).
"""

import math
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equipot.convert.nequip_description import Description, State, prefix_of_only_network
from equipot.convert.nequip_inert import Record, load
from equipot.errors import ModelFileError
from equipot.irreps import Irreps

PICKLE = "model/eager_model.pkl"
_STORAGES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.BoolStorage": torch.bool,
}
_ACTIVATIONS = {"SiLU": "silu", "Mish": "mish", "GELU": "gelu", "ShiftedSoftplus": "ssp", "Tanh": "tanh",
                "Identity": "None"}  # fmt: skip


def is_package(path: Path) -> bool:
    return _root(path) is not None


def is_compiled(path: Path) -> bool:
    """Return whether a file is a model compiled by `nequip-compile`, which holds code but no options."""
    names = _names(path)
    return any("/code/__torch__/nequip/" in name or "/data/aotinductor/" in name for name in names)


def read_package(path: Path) -> tuple[Description, State]:
    """Return description and weights; raise ModelFileError if a file is damaged, unsafe, or holds no NequIP network."""
    root = _root(path)
    if root is None:
        raise ModelFileError(f"holds no {PICKLE}; expected a package of nequip-package")
    try:
        with zipfile.ZipFile(path) as archive:
            modules = _Modules(archive, root).read()
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ModelFileError(f"the package is damaged ({str(error)[:100]}); copy it again") from None
    names = {name: module for name, (module, _) in modules.items()}
    state = {
        f"{name}.{key}": tensor for name, (_, tensors) in modules.items() for key, tensor in tensors.items()
    }
    prefix = prefix_of_only_network(state)
    inner = {n.removeprefix(prefix): m for n, m in names.items() if n.startswith(prefix)}
    try:
        description = _describe(inner, prefix, state)
    except (KeyError, AttributeError, TypeError, IndexError, ValueError) as error:
        raise ModelFileError(
            f"its modules are not those of nequip 0.7 to 0.19 ({type(error).__name__}: {str(error)[:80]})"
        ) from None
    return description, {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}


def _names(path: Path) -> list[str]:
    """Return the names of the members of a zip file; an empty list for any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def _root(path: Path) -> str | None:
    """Return the only folder of the archive, with a slash, if it holds the pickle of a package."""
    pickles = [name for name in _names(path) if name.endswith("/" + PICKLE)]
    return pickles[0].removesuffix(PICKLE) if pickles else None


class _Modules:
    """The modules of a package, by dotted names as in a state dict."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self.archive, self.root = archive, root
        self.storages: dict[str, Tensor] = {}

    def read(self) -> dict[str, tuple[Record, dict[str, Tensor]]]:
        """Return each module by name, with its own tensors."""
        if self._text("byteorder", "little") != "little":
            raise ModelFileError("it was written by a big-endian machine; expected little-endian numbers")
        with self.archive.open(self.root + PICKLE) as file:
            tree = load(file, self._storage, self._extensions())
        modules: dict[str, Record] = {}
        self._walk(tree, "", modules)
        return {name: (module, self._tensors(module)) for name, module in modules.items()}

    def _text(self, name: str, default: str) -> str:
        if self.root + name not in self.archive.namelist():
            return default
        return self.archive.read(self.root + name).decode(errors="replace").strip()

    def _extensions(self) -> tuple[str, ...]:
        """Return the packages whose source is in the archive, such as extensions of nequip; they are only recorded."""
        parts = {
            n.removeprefix(self.root).split("/")[0] for n in self.archive.namelist() if n.endswith(".py")
        }
        return tuple(sorted(parts))

    def _walk(self, module: Any, name: str, modules: dict[str, Record]) -> None:
        # The limits stop the walk through a tree that contains itself.
        if not isinstance(module, Record) or not isinstance(module.state, dict) or name.count(".") > 40:
            raise ModelFileError(f"module '{name[:80]}' is not a module of torch")
        if len(modules) > 100_000:
            raise ModelFileError("it has more than 100 000 modules")
        modules[name] = module
        for child_name, child in module.state.get("_modules", {}).items():
            if child is not None:
                self._walk(child, f"{name}.{child_name}" if name else child_name, modules)

    def _storage(self, pid: Any) -> Any:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"):
            kind = pid[0] if isinstance(pid, tuple) and pid else pid
            raise ModelFileError(
                f"it holds a part of kind '{str(kind)[:40]}', which, like TorchScript, cannot be read without running "
                "it; expected tensors (package it again with a newer nequip)"
            )
        return pid

    def _tensors(self, module: Record) -> dict[str, Tensor]:
        records = {**module.state.get("_parameters", {}), **module.state.get("_buffers", {})}
        return {name: self._tensor(value) for name, value in records.items() if value is not None}

    def _tensor(self, record: Any) -> Tensor:
        if isinstance(record, Record) and record.name == "torch._utils._rebuild_parameter":
            return self._tensor(record.arguments[0])
        if not isinstance(record, Record) or record.name != "torch._utils._rebuild_tensor_v2":
            raise ModelFileError(
                f"expected a tensor, but it holds {getattr(record, 'name', type(record).__name__)}"
            )
        (_, kind, key, *_), offset, size, stride = record.arguments[:4]
        dtype = _STORAGES.get(getattr(kind, "name", ""))
        if dtype is None:
            raise ModelFileError(
                f"it holds a tensor of type {getattr(kind, 'name', kind)}; expected one of {', '.join(_STORAGES)}"
            )
        whole = self._numbers(str(key), dtype)
        numbers = [offset, *size, *stride]
        if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ModelFileError("the shape of a tensor in it is invalid")
        last = offset + sum((n - 1) * s for n, s in zip(size, stride))
        if math.prod(size) > whole.numel() or (math.prod(size) > 0 and last >= whole.numel()):
            raise ModelFileError(
                f"a tensor of shape {tuple(size)} does not fit its storage {key} of {whole.numel()} numbers"
            )
        return whole.as_strided(size, stride, offset).clone()

    def _numbers(self, key: str, dtype: torch.dtype) -> Tensor:
        if key not in self.storages:
            name = f"{self.root}.data/{key}.storage"
            if name not in self.archive.namelist():
                raise ModelFileError(f"it lacks {name}; copy it again")
            data = self.archive.read(name)
            whole = len(data) - len(data) % dtype.itemsize
            self.storages[key] = (
                torch.frombuffer(bytearray(data[:whole]), dtype=dtype)
                if whole
                else torch.empty(0, dtype=dtype)
            )
        return self.storages[key]


def _describe(modules: dict[str, Record], prefix: str, state: State) -> Description:
    """Return the description from the modules of the network, by their names in it."""
    top = [name for name in modules if "." not in name]
    layers = [name for name in top if name.startswith("layer") and name.endswith("_convnet")]
    for name in layers:
        nonlinearity = modules[f"{name}.equivariant_nonlin"].name
        if nonlinearity.split(".")[-1] != "Gate":
            raise ModelFileError(f"{name} has the nonlinearity {nonlinearity}; expected a gate")
    if modules["type_embed"].state.get("do_categorical_graph_field_embed"):
        raise ModelFileError("it embeds fields of the whole structure (categorical_graph_field_embed)")
    pair = modules.get("pair_potential")
    if pair is not None and pair.name.split(".")[-1] != "ZBL":
        raise ModelFileError(f"its pair potential is {pair.name}; expected ZBL or none")
    activations = {
        m.name.split(".")[-1]
        for name, m in modules.items()
        if name.startswith("per_atom_energy_readout.mlp_module.mlp.") and not m.state["_parameters"]
    }
    unknown = activations - set(_ACTIVATIONS)
    if unknown:
        raise ModelFileError(
            f"its readout has the activation {', '.join(unknown)}, which equipot does not have"
        )
    cutoff_p = float(modules["bessel_encode.cutoff"].state["p"])
    pair_cutoff = modules.get("pair_potential.cutoff")
    _check_gates(modules, layers)
    return Description(
        names=tuple(top),
        type_names=list(modules["per_type_energy_scale_shift"].state["type_names"]),
        r_max=float(modules["edge_norm"].state["r_max"]),
        edge_irreps=_irreps(modules["spharm"].state["irreps_edge_sh"]),
        layer_irreps=[_irreps(modules[name].state["feature_irreps_hidden"]) for name in layers],
        residual=[bool(modules[name].state["resnet"]) for name in layers],
        cutoff_p=cutoff_p,
        pair_cutoff_p=cutoff_p if pair_cutoff is None else float(pair_cutoff.state["p"]),
        sent_norms=_sent_norms(modules[f"{layers[0]}.conv"], state, f"{prefix}{layers[0]}.conv"),
        readout_activation=_ACTIVATIONS[activations.pop()] if activations else None,
        trained=frozenset(
            key
            for name, m in modules.items()
            for key in m.state["_parameters"]
            if key in ("bessel_weights", "scales", "shifts")
        ),
    )


def _check_gates(modules: dict[str, Record], layers: list[str]) -> None:
    for name in layers:
        for part in ("act_scalars", "act_gates"):
            activations = modules[f"{name}.equivariant_nonlin.{part}"].state["paths"]
            for _, (_, parity), activation in activations:
                activation_name = getattr(
                    activation.state.get("f") if activation else None, "name", "nothing"
                ).split(".")[-1]
                if activation_name != ("silu" if parity == 1 else "tanh"):
                    raise ModelFileError(
                        f"{name} has the activation {activation_name} for scalars of parity {parity}; expected "
                        "silu for even and tanh for odd ones"
                    )


def _sent_norms(conv: Record, state: State, name: str) -> list[float]:
    """Return the factors of the features that an atom sends: one for all types, or one for each."""
    # A module since 0.16, a number until 0.15, and in 0.7 the average number of neighbours itself.
    of_types = state.get(f"{name}.avg_num_neighbors_norm.norm_const")
    if of_types is not None:
        return of_types.double().flatten().tolist()
    if "scatter_norm_factor" in conv.state:
        factor = conv.state["scatter_norm_factor"]
        return [1.0 if factor is None else float(factor)]
    number = conv.state["avg_num_neighbors"]
    return [1.0 if number is None else 1 / math.sqrt(number)]


def _irreps(record: Any) -> Irreps:
    """Return the irreps of a record of e3nn's Irreps: a tuple of (multiplicity, (l, parity))."""
    (parts,) = record.arguments
    irreps = []
    for part in parts:
        ((mul, ir),) = part.arguments
        ((l, p),) = ir.arguments
        irreps.append((int(mul), (int(l), int(p))))
    return Irreps(irreps)
