"""Tasks of the scaling benchmark for equipot itself; see `benchmarks/peers/__main__.py`."""

from typing import Any

import torch
from ase import Atoms
from ase.io import read

from benchmarks.random_network import random_potential
from equipot.model_file import load_model, write_model
from equipot.speed.machine import versions
from equipot.speed.measure import measure

VERSIONS = versions()


def write(request: dict[str, Any]) -> dict[str, Any]:
    """{"preset", "model"}: write a model file with random weights."""
    write_model(request["model"], random_potential(request["preset"]), verify=False)
    return {}


def describe(request: dict[str, Any]) -> dict[str, Any]:
    """{"model"}: what the benchmark must know of a model file."""
    model = load_model(request["model"])
    metadata = model.metadata
    return {
        "feature_dims": [int(width) for width in model.module.feature_dims],
        "number_bytes": {"float32": 4, "float64": 8}[metadata.dtype],
        "dtype": metadata.dtype,
        "cutoff": metadata.cutoff,
        "elements": metadata.type_names,
        "versions": VERSIONS,
    }


def step(request: dict[str, Any]) -> dict[str, Any]:
    """{"model", "data", "steps"}: median seconds of a calculator's step, without the neighbour search."""
    atoms = read(request["data"], format="lammps-data", atom_style="atomic", units="metal")
    assert isinstance(atoms, Atoms)
    atoms.numbers[:] = 14
    times = measure(load_model(request["model"]), atoms, steps=request["steps"])["seconds"]
    return {"seconds": times["total"]["median"], "threads": torch.get_num_threads()}


TASKS = {"write": write, "describe": describe, "step": step}
