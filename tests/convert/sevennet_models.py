"""Run by a Python that has sevenn: writes small random models as checkpoints, and what SevenNet says of them.

    PYTHONPATH=REPOSITORY python sevennet_models.py REQUEST.json

The request holds `folder`, `structures` (a file of ASE), `types`, `models`: name to options, of which `modalities`
(names), `evaluated` (some of them) and `denominators` (by layer) are ours and the rest SevenNet's, and `shipped`: names
of models that come with sevenn. For every name there will be NAME.pth, or NAME.path with where the shipped file is, and
NAME.npz, or NAME-MODALITY.npz, with energies, forces and stresses by structure, of SevenNet's calculator in float64.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import sevenn
import torch
from ase import Atoms
from sevenn import _const as const
from sevenn.model_build import build_E3_equivariant_model
from sevenn.nn.node_embedding import get_type_mapper_from_specie
from sevenn.train.trainer import Trainer
from sevenn.util import pretrained_name_to_path

from benchmarks.foundation.sevennet_calculator import calculator


def main(request: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    folder = Path(request["folder"])
    structures = ase.io.read(request["structures"], index=":")
    # Before anything is built: Clebsch-Gordan coefficients are rounded to this.
    torch.set_default_dtype(torch.float64)
    for seed, (name, options) in enumerate(request["models"].items()):
        evaluated = options.pop("evaluated", None) or options.get("modalities") or [None]
        write(folder / f"{name}.pth", dict(options), request["types"], seed)
        for modality in evaluated:
            stem = f"{name}-{modality}" if modality else name
            np.savez(folder / f"{stem}.npz", **results(str(folder / f"{name}.pth"), modality, structures))
    # SevenNet compares the coefficients in old checkpoints with its own, and only in float32.
    torch.set_default_dtype(torch.float32)
    for name, modality in request["shipped"].items():
        (folder / f"{name}.path").write_text(pretrained_name_to_path(name))
        np.savez(folder / f"{name}.npz", **results(name, modality, structures))


def write(path: Path, options: dict[str, Any], types: list[str], seed: int) -> None:
    """A checkpoint as SevenNet's trainer writes it, of a network with random weights."""
    modalities, denominators = options.pop("modalities", None), options.pop("denominators", None)
    model_options = {**copy.deepcopy(const.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG), **options}
    config = {
        **copy.deepcopy(const.DEFAULT_DATA_CONFIG),
        **copy.deepcopy(const.DEFAULT_TRAINING_CONFIG),
        **model_options,
        "chemical_species": sorted(types),
        "_type_map": get_type_mapper_from_specie(types),
        "_number_of_species": len(types),
        "conv_denominator": denominators or 3.7,
        "version": sevenn.__version__,
        "device": torch.device("cpu"),
        "is_ddp": False,
        "scheduler_param": {"gamma": 0.99},
    }
    if modalities:
        config |= {
            "use_modality": True,
            "_number_of_modalities": len(modalities),
            "_modal_map": {modality: k for k, modality in enumerate(modalities)},
        }
    torch.manual_seed(seed)
    network = build_E3_equivariant_model(config).double()
    randomise(network)
    Trainer.from_config(network, config).write_checkpoint(str(path), config=config, epoch=3)


def randomise(network: torch.nn.Module) -> None:
    """What starts at a constant, away from it; and everything to numbers that float32 has.

    SevenNet reads shifts, scales, denominators and frequencies into float32 however it is asked.
    """
    with torch.no_grad():
        for name, values in network.named_parameters():
            if name.endswith(("bias", "shift", "scale")):
                values += 0.5 * torch.randn_like(values)
            elif name.endswith(("coeffs", "denominator")):
                values *= 1 + 0.1 * torch.rand_like(values)
            values.copy_(values.float().double())


def results(model: str, modality: str | None, structures: list[Atoms]) -> dict[str, np.ndarray]:
    """By `energy_0`, `forces_0` and, where all directions are periodic, `stress_0`."""
    calc = calculator(model, modality, "float64")
    found = {}
    for k, atoms in enumerate(structures):
        atoms.calc = calc
        found[f"energy_{k}"] = np.asarray(atoms.get_potential_energy())
        found[f"forces_{k}"] = atoms.get_forces()
        if atoms.pbc.all():
            found[f"stress_{k}"] = atoms.get_stress()
    return found


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
