"""The public sets: their files, and how they are split."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

from equipot.errors import ConfigError

CUTOFF = 5.0  # Å, of all trainings


@dataclass(frozen=True)
class Set:
    """A public set.

    train, test: files below the data folder; without a test file, `n_test` training frames are set aside for it.
    n_train: frames to train on, chosen by seed from the file; None: all.
    isolated: file of isolated atoms, which give the reference energies.
    """

    title: str
    train: str
    test: str | None = None
    isolated: str | None = None
    n_train: int | None = None
    n_test: int = 0
    remark: str = ""


ETHANOL = "rmd17/ethanol_train_split01.extxyz", "rmd17/ethanol_test_split01.extxyz"
TWINS = "Some elastic test frames have a twin of the same energy in the training set ({}), so look at the groups too."

SETS: dict[str, Set] = {
    "3bpa": Set(
        "3BPA, 500 frames at 300 K, test at 300 K",
        "3bpa/train_300K.extxyz",
        "3bpa/test_300K.extxyz",
        "3bpa/isolated_atoms.extxyz",
    ),
    "acac": Set(
        "Acetylacetone, 500 frames at 300 K, test at 300 K",
        "acac/train_300K.extxyz",
        "acac/test_MD_300K.extxyz",
        "acac/isolated_atoms.extxyz",
    ),
    "ethanol": Set("rMD17 ethanol, split 1, 950 frames", *ETHANOL, n_train=950),
    "ethanol50": Set("rMD17 ethanol, 50 frames", *ETHANOL, n_train=50),
    "si": Set(
        "mlearn Si",
        "mlearn/Si_train.extxyz",
        "mlearn/Si_test.extxyz",
        remark=TWINS.format("3 of Si"),
    ),
    "cu": Set(
        "mlearn Cu",
        "mlearn/Cu_train_rebuilt_from_snap.extxyz",
        "mlearn/Cu_test.extxyz",
        remark="The training set is rebuilt from that of SNAP: 263 frames, officially 262. "
        + TWINS.format("11 of Cu"),
    ),
    "water": Set("Liquid water, 133 frames", "water/train.extxyz", n_train=133, n_test=100),
    "lips": Set("Li6.75P3S11, 100 frames", "lips/train_500.extxyz", n_train=100, n_test=200),
}


@dataclass(frozen=True)
class Split:
    train: list[Atoms]
    validation: list[Atoms]
    test: list[Atoms]


def split(dataset: Set, folder: Path, seed: int, n_validation: int = 0, n_fit: int | None = None) -> Split:
    """Return the frames of a set, shuffled by seed; raise ConfigError if there are too few.

    n_validation: frames that are set aside for validation; 0: the training chooses them.
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
    if not 0 <= n_validation < len(frames):
        raise ConfigError(
            f"{n_validation} frames for validation were asked for; "
            f"expected 0 to {len(frames) - 1} of {dataset.title}"
        )
    validation, train = frames[:n_validation], frames[n_validation:]
    if n_fit is not None:
        if n_fit > len(train):
            raise ConfigError(
                f"{n_fit} frames to fit were asked for; expected at most {len(train)} of {dataset.title}"
            )
        train = train[:n_fit]
    if dataset.isolated is not None:
        train = train + ase.io.read(folder / dataset.isolated, ":")
    return Split(train, validation, test)


def write(parts: Split, folder: Path) -> dict[str, Any]:
    """Write a file for each part that has frames, and return a config's data section."""
    folder.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {}
    for name in ("train", "validation", "test"):
        frames, path = getattr(parts, name), folder / f"{name}.extxyz"
        if frames:
            ase.io.write(path, frames)
            data[name] = str(path.resolve())
    return data


def config(data: dict[str, Any], output: Path, **training: Any) -> dict[str, Any]:
    """Return a config for `equipot train`, with the defaults but for the cutoff and keys of the section training."""
    return {"data": data, "model": {"cutoff": CUTOFF}, "training": training, "output": str(output)}
