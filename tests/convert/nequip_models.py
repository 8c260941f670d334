"""Run by a Python that has nequip: trains small models for a few steps, and writes what nequip says of them.

    python nequip_models.py REQUEST.json

The request holds `folder`, `structures` (a file of ASE), `types`, `r_max`, and `models`: name to `model`
(options of nequip's builder), `ema` (whether weights are averaged), `packaged` (whether a package is built too),
`written` (options that a builder of another package would have written beside or in place of nequip's).
For every name there will be NAME.ckpt, NAME.nequip.zip where asked for, and NAME.npz with energies, forces and
stresses by structure, of nequip's calculator.
"""

import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any

import ase.io
import lightning
import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from hydra.utils import get_class, instantiate
from lightning.pytorch.callbacks import ModelCheckpoint
from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper
from nequip.scripts import package
from nequip.utils import get_current_code_versions
from nequip.utils.global_state import get_latest_global_state, set_global_state

try:
    from nequip.integrations.ase import NequIPCalculator
except ImportError:  # before 0.17
    from nequip.ase import NequIPCalculator


def main(request: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    folder = Path(request["folder"])
    os.chdir(folder)
    structures = ase.io.read(request["structures"], index=":")
    for name, job in request["models"].items():
        set_global_state()
        checkpoint = folder / f"{name}.ckpt"
        train(checkpoint, job, request["types"], request["r_max"])
        if job.get("packaged"):
            package.main(["build", str(checkpoint), str(folder / f"{name}.nequip.zip")])
        np.savez(folder / f"{name}.npz", **results(checkpoint, structures))
        if "written" in job:
            content = torch.load(checkpoint, weights_only=False)
            content["hyper_parameters"]["model"].update(job["written"])
            torch.save(content, checkpoint)


def train(path: Path, job: dict[str, Any], types: list[str], r_max: float) -> None:
    """A few steps, and a checkpoint as `nequip-train` writes it."""
    labelled = path.with_suffix(".extxyz")
    ase.io.write(labelled, [labels(types, seed) for seed in range(4)])
    loader = {"_target_": "torch.utils.data.DataLoader", "batch_size": 2}
    data = {
        "_target_": "nequip.data.datamodule.ASEDataModule",
        "seed": 1,
        "train_file_path": [str(labelled)],
        "val_file_path": [str(labelled)],
        "transforms": [
            {"_target_": "nequip.data.transforms.ChemicalSpeciesToAtomTypeMapper", **mapping(types)},
            {"_target_": "nequip.data.transforms.NeighborListTransform", "r_max": r_max},
        ],
        "train_dataloader": loader,
        "val_dataloader": loader,
    }
    module = {
        "_target_": "nequip.train." + ("EMALightningModule" if job.get("ema") else "NequIPLightningModule"),
        "model": job["model"],
        "loss": {
            "_target_": "nequip.train.EnergyForceLoss",
            "per_atom_energy": True,
            "coeffs": {"total_energy": 1.0, "forces": 1.0},
        },
        "val_metrics": {
            "_target_": "nequip.train.EnergyForceMetrics",
            "coeffs": {"total_energy_mae": 1.0, "forces_mae": 1.0},
        },
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.02},
        **({"ema_decay": 0.9} if job.get("ema") else {}),
    }
    datamodule = instantiate(data, _recursive_=False)
    trained = get_class(module["_target_"])(
        **{k: v for k, v in module.items() if k != "_target_"},
        num_datasets=datamodule.num_datasets,
        info_dict={
            "versions": get_current_code_versions(),
            "data": data,
            "trainer": {},
            "global_options": get_latest_global_state(),
            "runs": ["train"],
            "training_module": module,
        },
    )
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=3,
        logger=False,
        callbacks=[ModelCheckpoint(dirpath=path.parent, filename=path.stem)],
        enable_progress_bar=False,
        enable_model_summary=False,
        inference_mode=False,
    )
    trainer.fit(trained, datamodule=datamodule)


def mapping(types: list[str]) -> dict[str, Any]:
    """The mapper's argument was called otherwise before 0.16."""
    known = inspect.signature(ChemicalSpeciesToAtomTypeMapper.__init__).parameters
    return {"model_type_names" if "model_type_names" in known else "chemical_symbols": types}


def labels(types: list[str], seed: int) -> Atoms:
    atoms = bulk(types[0] + types[-1], "zincblende", 4.4, cubic=True)
    atoms.rattle(0.1, seed=seed)
    atoms.calc = LennardJones(sigma=1.6, epsilon=0.3, rc=4.0)
    atoms.calc = SinglePointCalculator(atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces())
    return atoms


def results(path: Path, structures: list[Atoms]) -> dict[str, np.ndarray]:
    """By `energy_0`, `forces_0` and, where all directions are periodic, `stress_0`."""
    load = next(
        getattr(NequIPCalculator, name)
        for name in ("_from_saved_model", "_from_checkpoint_model", "from_checkpoint_model")
        if hasattr(NequIPCalculator, name)
    )
    calculator = load(str(path), device="cpu")
    found = {}
    for i, atoms in enumerate(structures):
        atoms.calc = calculator
        found[f"energy_{i}"] = np.asarray(atoms.get_potential_energy())
        found[f"forces_{i}"] = atoms.get_forces()
        if atoms.pbc.all():
            found[f"stress_{i}"] = atoms.get_stress()
    return found


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
