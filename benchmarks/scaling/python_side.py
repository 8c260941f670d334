"""What the scaling benchmark needs of equipot itself, each in a process of its own; the last line printed is JSON.

python python_side.py make PRESET FILE        a model with random weights
python python_side.py describe FILE           what the benchmark must know of a model
python python_side.py step FILE DATA STEPS    seconds of a step of the ASE calculator, on one thread
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from ase import Atoms
from ase.io import read

from equipot.config import ModelConfig
from equipot.errors import EquipotError
from equipot.model_file import load_model, write_model
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec
from equipot.speed import measure
from equipot.speed.machine import processor, versions

CUTOFF = 5.0  # Å
NEIGHBOURS = 28.0


def make(preset: str, path: str) -> dict[str, Any]:
    config = ModelConfig.model_validate({"preset": preset, "cutoff": CUTOFF})
    spec = PotentialSpec.from_config(config, ["Si"], e0=[0.0], scales=[1.0], neighbours=[NEIGHBOURS])
    write_model(path, Potential(spec, seed=1), verify=False)
    return describe(path)


def describe(path: str) -> dict[str, Any]:
    model = load_model(path)
    metadata = model.metadata
    return {
        "feature_dims": [int(width) for width in model.module.feature_dims],
        "number_bytes": {"float32": 4, "float64": 8}[metadata.dtype],
        "dtype": metadata.dtype,
        "cutoff": metadata.cutoff,
        "elements": metadata.type_names,
        "cpu": processor(),
        "versions": versions(),
    }


def step(path: str, data: str, steps: str) -> float:
    """Median; without the neighbour search, as the time of LAMMPS's pair style is."""
    torch.set_num_threads(1)
    atoms = read(data, format="lammps-data", atom_style="atomic", units="metal")
    assert isinstance(atoms, Atoms)
    atoms.numbers[:] = 14
    return measure(load_model(path), atoms, steps=int(steps))["seconds"]["total"]["median"]


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    tasks: dict[str, Callable[..., Any]] = {"make": make, "describe": describe, "step": step}
    try:
        print(json.dumps(tasks[name](*rest)))
    except EquipotError as error:
        sys.exit(str(error))
