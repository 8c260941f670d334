"""A small labelled set and config; labels come from ASE's EMT, so that they are consistent."""

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from equipot.training import stopping

RESTARTS = ["training.max_epochs=64", "training.schedule=restarts", "training.batch_size=20"]


def labelled_frames(n: int, seed: int = 0, stress: bool = True):
    rng = np.random.default_rng(seed)
    frames = []
    for k in range(n):
        atoms = bulk("Cu", "fcc", a=3.6 + 0.1 * rng.random(), cubic=True)
        if k % 2:
            atoms.symbols[0] = "Ni"
        atoms.positions += rng.normal(scale=0.08, size=(len(atoms), 3))
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        if stress:
            results["stress"] = atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info["config_type"] = "alloy" if k % 2 else "copper"
        frames.append(atoms)
    return frames


@pytest.fixture
def config_file(tmp_path):
    write(tmp_path / "train.extxyz", labelled_frames(24))
    write(tmp_path / "test.extxyz", labelled_frames(4, seed=1))
    config = {
        "data": {"train": "train.extxyz", "test": "test.extxyz", "validation_fraction": 0.2},
        "model": {"preset": "tiny", "cutoff": 3.5},
        "training": {"max_epochs": 4, "seed": 1, "batch_size": 4, "warmup_steps": 3, "threads": 1},
        "output": str(tmp_path / "run"),
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def ends_early(monkeypatch):
    """Every training with restarts ends after its 16th epoch, as if the last cycle had brought nothing."""

    def stop(self, trainer, pl_module):
        if trainer.current_epoch == 15:
            trainer.should_stop = True

    monkeypatch.setattr(stopping.NoBetterCycle, "on_train_epoch_end", stop)
