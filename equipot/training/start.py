"""The start of a training from the weights of a model file (fine-tuning)."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from equipot.config import Config, TrainingConfig
from equipot.data.graph import collate
from equipot.data.loading import DataSets
from equipot.data.reference_energies import reference_energies
from equipot.errors import ConfigError
from equipot.model_file import load_potential, read_metadata
from equipot.network.core_radii import MARGIN
from equipot.network.derivatives import energies_of
from equipot.network.layer import freezable
from equipot.network.potential import Potential
from equipot.network.variants import (
    with_core_radii,
    with_e0,
    with_elements,
    with_precision,
    without_uncertainty,
)
from equipot.quantities import ENERGIES

# Defaults of a fine-tuning; configs/finetune.yaml says how they were chosen.
FINE_TUNING: dict[str, Any] = {
    "optimizer": "adamw",
    "schedule": "cosine",
    "learning_rate": 0.0002,
    "warmup_steps": 50,
    "ema_decay": 0.99,
    "batch_size": 2,
}
# Keys of the model section that may differ from the model file.
FREE_MODEL_KEYS = {"dtype"}


def fine_tuning(config: TrainingConfig) -> TrainingConfig:
    """Return the training section with the defaults of a fine-tuning for keys that it does not set."""
    missing = {k: v for k, v in FINE_TUNING.items() if k not in config.model_fields_set}
    if "curvature" not in config.loss.model_fields_set:
        # The radial functions of the file are right for more data than these. They need not become smoother.
        missing["loss"] = config.loss.model_copy(update={"curvature": 0.0})
    return config.model_copy(update=missing)


def starting_model(config: Config) -> tuple[Config, Potential | None]:
    """Return the config with the cutoffs of the starting potential, and that potential; None for random weights.

    Raises:
        ConfigError: the config describes a network beside that of the file.
        ModelFileError: the file cannot be used.
    """
    if config.init is None:
        return config, None
    extra = sorted(config.model.model_fields_set - FREE_MODEL_KEYS)
    if extra:
        raise ConfigError(
            f"model.{extra[0]} is given together with init; leave it out, as {config.init.model} defines the network"
        )
    # Grades belong to the old weights and the old data; the training fits new ones.
    potential = without_uncertainty(load_potential(config.init.model))
    if "dtype" in config.model.model_fields_set and config.model.dtype != potential.spec.dtype:
        potential = with_precision(potential, config.model.dtype)
    cutoffs = potential.spec.cutoffs
    model = config.model.model_copy(update={"cutoff": cutoffs.cutoff, "pair_cutoffs": cutoffs.shorter()})
    data = config.data
    if config.init.elements == "all" and data.species is None:
        data = data.model_copy(update={"species": potential.type_names})
    training = fine_tuning(config.training)
    return config.model_copy(update={"model": model, "data": data, "training": training}), potential


def fitted(
    potential: Potential, config: Config, data: DataSets, console: Console
) -> tuple[Potential, dict[str, str]]:
    """Return the potential for the elements of the data, with reference energies that fit the training set.

    DFT calculations differ most in their reference energies. The shifts are a least-squares fit of label minus
    prediction to the compositions. The second result is the source of the reference energy of each element.
    Raise ConfigError for elements that the potential does not know and for parts to freeze that it does not have.
    """
    assert config.init is not None
    names = list(data.species.names)
    potential = with_elements(potential, names)
    sources = ["as in the model file"] * len(names)
    if config.init.e0 == "refit":
        shifts, how = _shifts(potential, data)
        potential = with_e0(potential, (potential.e0.numpy() + shifts).tolist())
        moved = ", ".join(f"{n} {s:+.4f}" for n, s in zip(names, shifts) if s != 0)
        console.print(f"reference energies shifted (eV): {moved or 'none'}")
        sources = [f"as in the model file {s:+.4f} eV ({h})" for s, h in zip(shifts, how)]
    potential = _within_data(potential, data)
    freeze(potential, config.init.freeze)
    return potential, dict(zip(names, sources))


def _within_data(potential: Potential, data: DataSets) -> Potential:
    """Return the potential with core radii that are less than all distances in the training set."""
    radii, shortest = potential.spec.core_radii, data.statistics.minimum_distances
    if radii is None:
        return potential
    smaller = [
        [r if s is None else min(r, MARGIN * s) for r, s in zip(*rows, strict=True)]
        for rows in zip(radii, shortest, strict=True)
    ]
    return with_core_radii(potential, smaller)


def _shifts(potential: Potential, data: DataSets) -> tuple[np.ndarray, list[str]]:
    """Return a shift for each element (eV), and its source."""
    compositions, residuals = [], []
    n = len(data.species)
    for graph in data.train:
        if "energy" not in graph.labels or graph.n_atoms == 0:
            continue
        outputs = energies_of(potential, collate([graph]).inputs)
        compositions.append(np.bincount(graph.species.numpy(), minlength=n))
        residuals.append(float(graph.labels["energy"]) - float(outputs[ENERGIES].sum()))
    if not residuals:
        return np.zeros(n), ["no energies to fit"] * n
    composition = np.array(compositions, dtype=float)
    isolated = np.zeros(len(residuals), dtype=bool)
    shifts, how = reference_energies(composition, np.array(residuals), isolated, data.species, "fit")
    present: np.ndarray = composition.sum(axis=0) > 0
    return np.where(present, shifts, 0.0), [h if p else "not in the set" for h, p in zip(how, present)]


def freeze(potential: Potential, names: list[str]) -> None:
    """Exclude parts of a potential from training; raise ConfigError for names of no part."""
    parts = freezable(potential)
    for name in names:
        if name not in parts:
            raise ConfigError(f"init.freeze names '{name}'; expected names from {', '.join(parts)}")
        for parameter in parts[name]:
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in potential.parameters()):
        raise ConfigError("init.freeze leaves nothing to train; name fewer parts")


def origin(path: str) -> dict[str, Any]:
    """Return the record of the starting model that a fine-tuned model stores."""
    metadata = read_metadata(path)
    source = {"model": str(path), "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}
    return source | {"created": metadata.created, "training": metadata.training}
