"""The public sets: their files, how they are split, and the few settings that differ from the defaults."""

import copy
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

from equipot.errors import ConfigError


@dataclass(frozen=True)
class Set:
    """A public set.

    train, test: files below the data folder; without a test file, `n_test` training frames are set aside for it.
    n_train: frames to train on, including validation, chosen by seed from the file; None: all.
    isolated: file of isolated atoms, which give the reference energies.
    n_validation: frames of n_train used to choose the best epoch; 0: all are fitted, in one cosine.
    tension: eV/Å³ by which stress labels exceed the slope of the energies; subtracted from those that are fitted.
    settings: sections of the config.
    """

    title: str
    train: str
    n_validation: int
    test: str | None = None
    isolated: str | None = None
    n_train: int | None = None
    n_test: int = 0
    tension: float = 0.0
    remark: str = ""
    settings: dict[str, Any] = field(default_factory=dict)


ETHANOL = "rmd17/ethanol_train_split01.extxyz", "rmd17/ethanol_test_split01.extxyz"
TWINS = "Some elastic test frames have a twin of the same energy in the training set ({}), so look at the groups too."
MOLECULE = {
    "model": {
        "preset": "accurate",
        "cutoff": 5.0,
    }
}
CRYSTAL = {"model": {"preset": "balanced", "cutoff": 5.0}}

SETS: dict[str, Set] = {
    "3bpa": Set(
        "3BPA, 500 frames at 300 K, test at 300 K",
        "3bpa/train_300K.extxyz",
        50,
        "3bpa/test_300K.extxyz",
        "3bpa/isolated_atoms.extxyz",
        settings=MOLECULE,
    ),
    "acac": Set(
        "Acetylacetone, 500 frames at 300 K, test at 300 K",
        "acac/train_300K.extxyz",
        50,
        "acac/test_MD_300K.extxyz",
        "acac/isolated_atoms.extxyz",
        settings=MOLECULE,
    ),
    "ethanol": Set(
        "rMD17 ethanol, split 1, 950 frames and 50 for validation",
        ETHANOL[0],
        50,
        ETHANOL[1],
        settings=MOLECULE,
    ),
    "ethanol50": Set(
        "rMD17 ethanol, 50 frames and 10 for validation",
        ETHANOL[0],
        10,
        ETHANOL[1],
        n_train=60,
        settings=MOLECULE,
    ),
    "si": Set(
        "mlearn Si",
        "mlearn/Si_train.extxyz",
        11,
        "mlearn/Si_test.extxyz",
        remark=TWINS.format("3 of Si"),
        settings={**CRYSTAL, "training": {"weight_decay": 0.1}},
    ),
    "cu": Set(
        "mlearn Cu",
        "mlearn/Cu_train_rebuilt_from_snap.extxyz",
        0,
        "mlearn/Cu_test.extxyz",
        tension=0.0161,
        remark="The training set is rebuilt from that of SNAP: 263 frames, officially 262. Its stresses are 16.1 "
        "meV/Å³ more tensile than the slope of its energies (equipot check); that was subtracted before the fit. "
        + TWINS.format("11 of Cu"),
        settings={
            "model": {**CRYSTAL["model"], "residual": False},
            "training": {
                "schedule": "cosine",
                "max_epochs": 57,
                # Without the tension the stresses still differ from the slope of the energies.
                "loss": {"energy": 15.0, "stress": 0.0, "initial": {"stress": 1.0}},
            },
        },
    ),
    "water": Set(
        "Liquid water, 133 frames", "water/train.extxyz", 13, n_train=133, n_test=100, settings=CRYSTAL
    ),
    "lips": Set(
        "Li6.75P3S11, 100 frames", "lips/train_500.extxyz", 10, n_train=100, n_test=200, settings=CRYSTAL
    ),
}


@dataclass(frozen=True)
class Split:
    train: list[Atoms]
    validation: list[Atoms]
    test: list[Atoms]


def split(dataset: Set, folder: Path, seed: int, n_fit: int | None = None) -> Split:
    """Return the frames of a set, shuffled by seed; raise ConfigError if there are too few.

    n_fit: number of frames to fit instead of the set's own. Smaller choices are subsets of larger ones, and test and
    validation frames are the same for all.
    """
    frames = ase.io.read(folder / dataset.train, ":")
    random.Random(seed).shuffle(frames)
    if dataset.test is not None:
        test = ase.io.read(folder / dataset.test, ":")
    else:
        test, frames = frames[: dataset.n_test], frames[dataset.n_test :]
    frames = frames[: dataset.n_train]
    if not 0 <= dataset.n_validation < len(frames):
        raise ConfigError(
            f"{dataset.n_validation} frames for validation were asked for; "
            f"expected 0 to {len(frames) - 1} of {dataset.title}"
        )
    validation, train = frames[: dataset.n_validation], frames[dataset.n_validation :]
    if n_fit is not None:
        if n_fit > len(train):
            raise ConfigError(
                f"{n_fit} frames to fit were asked for; expected at most {len(train)} of {dataset.title}"
            )
        train = train[:n_fit]
    for atoms in [*train, *validation] if dataset.tension else []:
        atoms.calc.results["stress"][:3] -= dataset.tension  # xx, yy, zz
    if dataset.isolated is not None:
        train = train + ase.io.read(folder / dataset.isolated, ":")
    return Split(train, validation, test)


def write(parts: Split, folder: Path) -> dict[str, Any]:
    """Write a file for each part that has frames, and return a config's data section."""
    folder.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {"validation_fraction": 0.0}
    for name in ("train", "validation", "test"):
        frames, path = getattr(parts, name), folder / f"{name}.extxyz"
        if frames:
            ase.io.write(path, frames)
            data[name] = str(path.resolve())
    return data


def config(dataset: Set, data: dict[str, Any], output: Path, **training: Any) -> dict[str, Any]:
    """Return a config for `equipot train`, as plain values; training: keys of its section of that name."""
    values = copy.deepcopy(dataset.settings)
    values.setdefault("training", {}).update({k: v for k, v in training.items() if v is not None})
    return {"data": data, **values, "output": str(output)}
