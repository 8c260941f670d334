"""The configuration: YAML into typed sections. A field's docstring is its manual (`equipot train --keys`)."""

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from rich.markup import escape

from equipot.errors import ConfigError


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    """Seconds from a number or from "HH:MM:SS" / "DD:HH:MM:SS" (YAML 1.1 reads 00:30:00 unquoted as 1800)."""
    if isinstance(value, str):
        if not re.fullmatch(r"\d+(:\d{1,2}){2,3}", value.strip()):
            raise ValueError('expected seconds or "HH:MM:SS"')
        total = 0.0
        parts = [int(p) for p in value.split(":")]
        for scale, part in zip([1, 60, 3600, 86400], reversed(parts)):
            total += scale * part
        return total
    return value


FilePath = Annotated[str, AfterValidator(os.path.expanduser)]
Files = Annotated[list[FilePath], BeforeValidator(_as_list)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
# Peak learning rates where none is given; found on 3BPA and mlearn silicon (docs/training.md).
RATES = {"muon": 0.02, "adamw": 0.005}


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


class DataConfig(Section):
    """Where the labelled structures are, how their labels are called, and how they are split."""

    train: Files = Field(min_length=1)
    """File, glob, or list of them; anything ase.io reads. Paths are relative to the config file."""
    validation: Files | None = None
    """Files of the validation set; without them `validation_fraction` of the training frames is set aside."""
    test: Files | None = None
    """Files of the test set, evaluated once at the end of a training."""
    validation_fraction: Fraction = 0.1
    """Share of the training frames used for validation when no `validation` files are given."""
    test_fraction: Fraction = 0.0
    """Share of the training frames kept for the final test when no `test` files are given."""
    split_seed: int = 0
    """Seed of the random split, stratified by config_type; independent of the training's seed."""
    energy_key: str | None = None
    """Name of the total energy (eV) in atoms.info; by default ASE's standard calculator results are read."""
    forces_key: str | None = None
    """Name of the forces (eV/Å) in atoms.arrays; by default ASE's standard calculator results are read."""
    stress_key: str | None = None
    """Name of the stress (eV/Å³, positive = tension) in atoms.info; by default ASE's standard results are read."""
    virial_key: str | None = None
    """Name of a virial (eV, -volume × stress) in atoms.info, used where there is no stress."""
    config_type_key: str = "config_type"
    """Name of the group label in atoms.info; errors are reported per group."""
    species: list[str] | None = None
    """Elements of the model in order; by default all elements of the training set, by atomic number."""
    e0: Literal["auto", "fit", "isolated"] | dict[str, float] = "auto"
    """Energy of the isolated atom per element (eV): given as a mapping, taken from isolated-atom frames, or
    fitted by least squares; `auto` takes isolated-atom frames where there are any and fits the rest."""
    accept: list[str] = []
    """Names of checks whose errors are accepted as they are (see `equipot check`)."""
    stream: bool | None = None
    """Read graphs from a database on disk instead of memory; by default only for sets too large for memory."""


class ModelConfig(Section):
    """The network: a preset, and whatever differs from it."""

    preset: Literal["tiny", "small", "medium", "large"] = "small"
    """Sizes to start from: small, medium, large are nequip's S, M, L; tiny is for tests."""
    cutoff: Positive = 5.0
    """Neighbours within this distance (Å) exchange messages."""
    pair_cutoffs: dict[str, Positive] = {}
    """Shorter cutoffs for some pairs of elements, e.g. {Si-O: 4.0}; they hold in both directions."""
    n_layers: Annotated[int, Field(ge=1, le=12)] | None = None
    """Number of message-passing layers."""
    l_max: Annotated[int, Field(ge=0, le=4)] | None = None
    """Highest rotation order of features and spherical harmonics."""
    features: Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=1)]] | None = None
    """Channels: one number, or one per l (length l_max + 1)."""
    irreps: str | None = None
    """Hidden irreps written out, e.g. "128x0e+64x1o+32x2e"; replaces l_max, features and parity."""
    parity: Literal["natural", "full", "even"] = "natural"
    """natural: 0e, 1o, 2e, …; full: both parities of every l; even: all even, as SO(3)-equivariant networks."""
    type_embedding: Annotated[int, Field(ge=1)] | None = None
    """Channels of the species embedding that enters the first layer."""
    n_bessel: Annotated[int, Field(ge=1, le=64)] = 8
    """Number of Bessel functions of the distance."""
    stretch: Annotated[float, Field(ge=0, le=10)] = 0.0
    """k: Bessel functions of (1 - exp(-k r/cutoff))/(1 - exp(-k)), finer for near neighbours than for far; 0: of r."""
    envelope: Literal["polynomial", "xplor"] = "polynomial"
    """How radial functions go to zero at the cutoff."""
    envelope_p: Annotated[int, Field(ge=2)] = 2
    """Exponent of the polynomial envelope; 6 is usual, but 2, with which far neighbours count less, predicts better."""
    xplor_onset: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Where the xplor envelope begins to fall, as a fraction of the cutoff."""
    radial_depth: Annotated[int, Field(ge=0, le=8)] = 1
    """Hidden layers of the radial network."""
    radial_width: Annotated[int, Field(ge=1)] | None = None
    """Width of the radial network's hidden layers."""
    spline: Literal["cubic", "quintic"] = "cubic"
    """Order of the radial splines; quintic where second derivatives matter (phonons)."""
    knots: Annotated[int, Field(ge=8, le=4096)] = 128
    """Number of spline knots between distance zero and the cutoff."""
    norms: bool = False
    """The lengths of each layer's vectors and tensors enter its scalars: better on molecules."""
    residual: bool = True
    """Every layer but the first adds the features that enter it to those that leave it."""
    readout_hidden: Annotated[int, Field(ge=1)] | None = None
    """Width of one hidden layer in the readout; by default the readout is linear."""
    zbl: bool = False
    """Add the Ziegler-Biersack-Littmark repulsion between nuclei that come close."""
    dtype: Literal["float32", "float64"] = "float32"
    """Precision of the network; geometry, reference energies and sums are always float64."""


class InitConfig(Section):
    """Weights to start from: those of a model file, trained or converted (fine-tuning)."""

    model: FilePath
    """Model file; the network is its network, so of `model` only `dtype` may be given besides."""
    e0: Literal["refit", "keep"] = "refit"
    """refit: shift the file's reference energies, by element, to fit the training set's energies; keep: as they are."""
    elements: Literal["data", "all"] = "data"
    """data: the new model knows the elements of the training set; all: those of the file too, as they become."""
    freeze: list[str] = []
    """Parts that are not trained: embedding, radial, linear, self_connection, norms, readout, layers.0,
    layers.1, …"""


class InitialWeights(Section):
    """Weights of the loss where a cosine begins; they move to those of the loss as the learning rate falls."""

    energy: Annotated[float, Field(ge=0)] | None = None
    """Weight of the energy where a cosine begins, from which it moves to the one above as the learning rate falls; by
    default a tenth of that: forces are learnt first."""
    forces: Annotated[float, Field(ge=0)] | None = None
    """The same of the forces; by default as above."""
    stress: Annotated[float, Field(ge=0)] | None = None
    """The same of the stress; by default as above."""


class LossConfig(Section):
    """The loss: weights times errors of energy per atom (eV), forces (eV/Å) and stress (eV/Å³)."""

    energy: Annotated[float, Field(ge=0)] = 10.0
    """Weight of the energy per atom."""
    forces: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the force components."""
    stress: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the stress components, which are multiplied by the volume per atom to be of the energy's size."""
    initial: InitialWeights = InitialWeights()
    """Weights where a cosine of the learning rate begins."""
    kind: Literal["mse", "huber", "stratified_huber"] = "mse"
    """mse, Huber, or Huber with a delta that shrinks for large reference forces."""
    huber_delta: Positive = 0.05
    """Error (in the label's unit) beyond which the Huber losses grow linearly."""


COSINES = ("restarts", "cosine")


class TrainingConfig(Section):
    """How the network is fitted."""

    max_time: Seconds | None = None
    """Stop after this wall-clock time ("HH:MM:SS" or seconds). Without `max_epochs` the schedule follows the clock."""
    max_epochs: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many epochs (1000 where neither this nor `max_time` is given)."""
    seed: int = 0
    """Seed of the initial weights and of the order of frames."""
    batch_size: Annotated[int, Field(ge=1)] = 5
    """Frames in a batch, at most."""
    max_edges: Annotated[int, Field(ge=1)] | None = None
    """Edges in a batch, at most: large frames then come in smaller batches (a single larger frame goes alone)."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """muon: orthogonalised steps for the matrices, AdamW for embedding and readout; adamw: AdamW for all."""
    learning_rate: Positive | None = None
    """Peak learning rate; by default 0.02 with muon, 0.005 with adamw."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled decay of the weights; with muon of the matrices alone."""
    schedule: Literal["restarts", "cosine", "plateau", "constant"] = "restarts"
    """How the learning rate falls: restarts, in cosines of doubling length, until one brings no better validation
    or the time is over; in one cosine; at plateaus of the validation; not at all."""
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Steps of linear warm-up."""
    plateau_patience: Annotated[int, Field(ge=0)] = 20
    """Epochs without a better validation loss before the plateau schedule lowers the rate."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Factor by which the plateau schedule lowers the rate."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay per step of the moving average of the weights, which is what is evaluated and exported; 0: none."""
    gradient_clip: Annotated[float, Field(ge=0)] = 10.0
    """Largest norm of the gradient; 0: no clipping."""
    early_stop_patience: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many epochs without a better validation loss."""
    min_learning_rate: Annotated[float, Field(ge=0)] = 0.0
    """Stop when the learning rate falls below this (plateau)."""
    steps_per_epoch: Annotated[int, Field(ge=1)] = 1000
    """Steps after which an epoch ends, with validation and a checkpoint, even within a pass over a large set."""
    loss: LossConfig = LossConfig()
    """Loss function and its weights."""
    accelerator: Literal["auto", "cpu", "gpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU where there is one, gpu and cuda mean the same."""
    devices: Annotated[int, Field(ge=1)] = 1
    """Processes on this node (DDP when more than one)."""
    num_nodes: Annotated[int, Field(ge=1)] = 1
    """Nodes of a DDP training."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """CPU threads per process; by default torch decides."""

    @property
    def peak_rate(self) -> float:
        """The learning rate that is given, or else the optimizer's own."""
        return RATES[self.optimizer] if self.learning_rate is None else self.learning_rate


class Config(Section):
    """A training, from data to an exported model."""

    data: DataConfig
    """Labelled structures."""
    model: ModelConfig = ModelConfig()
    """Network."""
    init: Annotated[InitConfig, BeforeValidator(_as_model)] | None = None
    """Model file to start from instead of random weights, or a mapping with `model` and the keys below."""
    training: TrainingConfig = TrainingConfig()
    """Fit."""
    output: FilePath
    """Folder of everything the training writes; relative to the current folder."""

    @model_validator(mode="after")
    def _pairs_within_cutoff(self) -> "Config":
        for pair, cutoff in self.model.pair_cutoffs.items():
            if cutoff > self.model.cutoff:
                raise ValueError(
                    f"model.pair_cutoffs.{pair} is {cutoff} Å, longer than model.cutoff {self.model.cutoff} Å"
                )
        return self

    @model_validator(mode="after")
    def _initial_weights_come_with_cosines(self) -> "Config":
        schedule = self.training.schedule
        if self.training.loss.initial != InitialWeights() and schedule not in COSINES:
            raise ValueError(
                f"training.loss.initial needs training.schedule {' or '.join(COSINES)}, and it is {schedule}: "
                "the weights move as a cosine falls"
            )
        return self


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice: PyYAML would keep the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise ConfigError(f"key '{key}' is given twice (line {key_node.start_mark.line + 1})")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


# YAML 1.1 does not see a float in "1e-3" without a dot; people write learning rates that way.
_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(?:\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def parse_yaml(text: str, where: str) -> Any:
    """Plain Python values from YAML text; raises ConfigError naming `where`."""
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{where}: not valid YAML: {problem}{line}") from None


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file and apply `section.key=value` overrides (values are YAML).

    Data paths in the file are made relative to the file's folder. Raises ConfigError with the key, what was
    found and what was expected.
    """
    path = Path(path)
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such config file") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise ConfigError(f"{path}: not a text file; expected a YAML config") from None
    raw = parse_yaml(text, str(path))
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a mapping with the keys data, model, training, output")
    from_file, start = _data_files(raw), _init_file(raw)
    for override in overrides:
        _apply(raw, override)
    config = validate(raw, str(path))
    for name, files in from_file.items():
        if _data_files(raw).get(name) == files:  # an override's paths stay relative to the current folder
            setattr(config.data, name, [str(path.parent / f) for f in getattr(config.data, name)])
    if config.init is not None and start is not None and _init_file(raw) == start:
        config.init.model = str(path.parent / config.init.model)
    return config


def _init_file(raw: dict[str, Any]) -> str | None:
    given = raw.get("init")
    found = given.get("model") if isinstance(given, dict) else given
    return found if isinstance(found, str) else None


def _data_files(raw: dict[str, Any]) -> dict[str, Any]:
    data = raw.get("data")
    return (
        {k: data[k] for k in ("train", "validation", "test") if data.get(k)} if isinstance(data, dict) else {}
    )


def validate(raw: Any, where: str) -> Config:
    """A Config from plain values; raises ConfigError in one sentence per problem."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        problems = [_sentence(e) for e in error.errors()]
        more = f" (and {len(problems) - 1} more: {'; '.join(problems[1:])})" if len(problems) > 1 else ""
        raise ConfigError(f"{where}: {problems[0]}{more}") from None


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"'{override}': expected key=value, e.g. training.seed=2")
    node: Any = raw
    parts = key.split(".")
    for part in parts[:-1]:
        if node.get(part) is None:
            node[part] = {}
        node = node[part]
        if not isinstance(node, dict):
            raise ConfigError(f"'{override}': '{part}' is not a section of the config")
    node[parts[-1]] = parse_yaml(value, f"'{override}'")


def _sentence(error: Any) -> str:
    # Literal tags of union members ("function-before[…]") are pydantic's, not part of the user's key.
    location = [
        str(p) for p in error["loc"] if not re.search(r"[\[\s]|^(int|str|float|list|dict|bool)$", str(p))
    ]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        known = list(_section(location[:-1]).model_fields)
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
        return f"unknown key '{key}'; {hint}"
    if error["type"] == "missing":
        return f"key '{key}' is missing; {_manual(location)}"
    message = re.sub(r"^Value error, ", "", error["msg"])
    if error["type"] == "value_error" and not key:
        return message
    return f"'{key}' is {error['input']!r}; {message[0].lower()}{message[1:]}"


def _section(location: Sequence[str]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for name in location:
        annotation = section.model_fields[name].annotation if name in section.model_fields else None
        inner = _model(annotation)
        if inner is None:
            break
        section = inner
    return section


def _model(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, be it optional."""
    for part in (annotation, *get_args(annotation), *(a for p in get_args(annotation) for a in get_args(p))):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _manual(location: Sequence[str]) -> str:
    field = _section(location[:-1]).model_fields.get(location[-1])
    return (field.description or "").replace("\n", " ") if field else ""


def manual() -> str:
    """All keys with type, default and docstring, as rich markup."""
    lines = []

    def walk(section: type[BaseModel], prefix: str) -> None:
        for name, field in section.model_fields.items():
            inner = _section([*prefix.split(".")[:-1], name]) if prefix else _section([name])
            if _model(field.annotation) is not None:
                walk(inner, f"{prefix}{name}.")
                continue
            value = (
                "required"
                if field.is_required()
                else f"default: {'none' if field.default is None else field.default}"
            )
            lines.append(f"[bold]{prefix}{name}[/]  [cyan]({escape(value)})[/]")
            lines.append("    " + escape((field.description or "").replace("\n", "\n    ")))

    walk(Config, "")
    return "\n".join(lines)
