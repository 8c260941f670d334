"""What a training chooses itself where the config says nothing: network, batch, and the use of stresses.

docs/training.md has the trials behind the rules. Every choice is printed with its reason and written to settings.yaml
in the output folder, which repeats the training.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from rich.table import Table

from equipot.config import Config, Section
from equipot.data.graph import Graph, collate
from equipot.data.loading import DataSets
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from equipot.training.loss import residuals
from equipot.training.module import PotentialModule
from equipot.training.start import FREE_MODEL_KEYS

S = TypeVar("S", bound=Section)
SETTINGS = "settings.yaml"
OPEN = (
    "training.batch_size",
    "training.weight_decay",
    "data.stress_offset",
    "training.loss.initial.stress",
    "training.loss.stress",
    "model.preset",
)
ATOMS_PER_BATCH = 320
FRAMES_PER_BATCH = 5
ENOUGH_STEPS = 2000  # a deeper network pays if there is time for so many
TIMED_STEPS = 3
# Weight decay of small periodic sets, which networks overfit without it. Molecules are worse with it.
SMALL = 50_000  # components of forces
DECAY = 0.03


@dataclass(frozen=True)
class Choice:
    """A value that the training chose for a key of the config."""

    key: str  # with its sections, as users write it
    value: Any
    reason: str


def is_open(config: Config, key: str) -> bool:
    """Return whether the config leaves a key to the training."""
    part: Any = config
    *sections, name = key.split(".")
    for section in sections:
        part = getattr(part, section)
    return name not in part.model_fields_set or getattr(part, name) == "auto"


def choose(config: Config, data: DataSets, build: Callable[[Config], Potential]) -> list[Choice]:
    """Return the choices for the open keys of a config.

    Args:
        config: the config; `model.preset` may be `auto`.
        data: the sets.
        build: returns the network of a config for these data, to time its steps.
    """
    choices: list[Choice] = []

    def decide(key: str, value: Any, reason: str) -> None:
        nonlocal config
        if is_open(config, key):
            choices.append(Choice(key, value, reason))
            config = applied(config, choices[-1:])

    frames, atoms = len(data.train), data.statistics.n_atoms
    periodic = any(bool(graph.pbc.any()) for graph in _some(data.train))
    per_frame = atoms / max(1, frames)
    batch = max(1, min(FRAMES_PER_BATCH, round(ATOMS_PER_BATCH / max(1.0, per_frame))))
    decide("training.batch_size", batch, f"{per_frame:.0f} atoms per frame")
    components = round(3 * per_frame * data.statistics.n_forces)
    if periodic and components < SMALL and config.training.optimizer == "muon":
        decide("training.weight_decay", DECAY, f"a small periodic set: {components:,} components of forces")
    if data.stress_offset and is_open(config, "data.stress_offset"):
        why = "stresses contradict the energies, so the end of the training leaves them out"
        shift = "the offset of the slope of the energies from the stresses"
        decide("data.stress_offset", data.stress_offset, f"eV/Å³, {shift}")
        decide("training.loss.initial.stress", config.training.loss.stress, why)
        decide("training.loss.stress", 0.0, why)
    if is_open(config, "model.preset"):
        decide("model.preset", *_network(config, data, periodic, build))
    return choices


def made_before(config: Config, then: dict[str, Any]) -> list[Choice]:
    """Return the choices of the training that `config` resumes; then: the whole config of that training."""
    now = config.model_dump(mode="json")
    values = {key: (_value(then, key), _value(now, key)) for key in OPEN if is_open(config, key)}
    return [Choice(key, before, "as before") for key, (before, value) in values.items() if before != value]


def _network(
    config: Config, data: DataSets, periodic: bool, build: Callable[[Config], Potential]
) -> tuple[str, str]:
    """Return a preset, and the reason for it: the largest one that has time for enough steps."""
    kind = "periodic frames" if periodic else "molecules"
    candidates = ["balanced", "fast"] if periodic else ["accurate", "balanced", "fast"]
    seconds = config.training.max_time
    if seconds is None or config.training.devices * config.training.num_nodes > 1:
        # Processes would time their steps differently, but they need one network.
        return candidates[0], kind
    larger = ""  # what the time does not suffice for
    for name in candidates:
        trial = applied(config, [Choice("model.preset", name, "")])
        steps = seconds / seconds_per_step(build(trial), trial, data.train)
        if steps >= ENOUGH_STEPS or name == candidates[-1]:
            break
        larger = f"{name} would get {steps:,.0f} steps in the time, {ENOUGH_STEPS:,} are needed; "
    return name, f"{kind}: {larger}{name} gets {steps:,.0f}{'' if larger else ' steps in the time'}"


def seconds_per_step(potential: Potential, config: Config, graphs: Sequence[Graph]) -> float:
    """Return the time of a training step: the shortest of a few with the first frames, which change the potential."""
    batch = collate([graphs[k] for k in range(min(config.training.batch_size, len(graphs)))])
    module = PotentialModule(potential, config.training, {})
    optimizer = module.configure_optimizers()
    times = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        optimizer.zero_grad()
        r = residuals(predict(potential, batch.inputs, create_graph=True), batch)
        module.backward(module.loss(r))
        optimizer.step()
        if module.average is not None:
            module.average.update_parameters(potential)
        times.append(time.perf_counter() - start)
    return min(times)


def _some(graphs: Sequence[Graph]) -> list[Graph]:
    """Return some frames from all parts of a set."""
    return [graphs[k] for k in range(0, len(graphs), max(1, len(graphs) // 100))]


def applied(config: Config, choices: Sequence[Choice]) -> Config:
    """Return the config with choices."""
    for choice in choices:
        config = _replaced(config, choice.key.split("."), choice.value)
    return config


def _value(values: dict[str, Any], key: str) -> Any:
    for name in key.split("."):
        values = values[name]
    return values


def _replaced(section: S, path: list[str], value: Any) -> S:
    if len(path) > 1:
        value = _replaced(getattr(section, path[0]), path[1:], value)
    return section.model_copy(update={path[0]: value})


def table(choices: Sequence[Choice]) -> Table:
    """Return a table of choices."""
    result = Table(title=f"Chosen (written to {SETTINGS}; any key in the config overrules it)")
    for name in ("key", "value", "why"):
        result.add_column(name)
    for choice in choices:
        result.add_row(choice.key, str(choice.value), choice.reason)
    return result


def write_settings(config: Config, path: Path) -> None:
    """Write all keys that the user or the training has set, with absolute paths, as a config that repeats it."""
    values = config.model_dump(mode="json", exclude_unset=True)
    for name in ("train", "validation", "test"):
        if values["data"].get(name):
            values["data"][name] = [str(Path(f).absolute()) for f in values["data"][name]]
    if "init" in values:
        # The file defines the rest of the network, and a config may not repeat it.
        values["model"] = {k: v for k, v in values["model"].items() if k in FREE_MODEL_KEYS}
        values["init"]["model"] = str(Path(values["init"]["model"]).absolute())
    values["output"] = str(Path(config.output).absolute())
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    path.write_text(
        f"# The settings of the training in this folder. To repeat it: equipot train {SETTINGS} output=other\n{text}"
    )
