"""The points of the learning curves: networks of equal numbers of weights, and the training of each."""

import bisect
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.published import PUBLISHED
from benchmarks.accuracy.result import errors
from benchmarks.accuracy.sets import SETS, config, split, write
from benchmarks.accuracy.training import training_command
from benchmarks.command import BenchmarkError
from equipot.config import ModelConfig
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec

SHARES = [1.0, 0.5, 0.35, 0.25]  # channels of l = 0 to 3, as fractions of the scalars'


@dataclass(frozen=True)
class Curve:
    """The curve of a set: numbers of frames, steps of each training, frames in a batch and for validation, others."""

    sizes: list[int]
    steps: int
    batch_size: int
    n_validation: int
    others: dict[str, tuple[int, float]]  # frames and force error (meV/Å), by method
    elements: list[str]


def _others(name: str, frames: int, methods: Sequence[str]) -> dict[str, tuple[int, float]]:
    published = PUBLISHED[name].errors["all"]
    return {method: (frames, forces) for method in methods if (forces := published[method][1]) is not None}


CURVES = {
    "si": Curve([12, 25, 50, 100, 200], 1000, 5, 11, _others("si", 214, ["MTP", "SNAP", "NNP"]), ["Si"]),
    "ethanol": Curve(
        [25, 50, 100, 200, 400, 900],
        1500,
        5,
        50,
        {
            "NequIP": (950, PUBLISHED["ethanol"].errors["all"]["NequIP"][1] or 0.0),
            "NequIP, 50": (50, PUBLISHED["ethanol50"].errors["all"]["NequIP"][1] or 0.0),
        },
        ["H", "C", "O"],
    ),
    "water": Curve([4, 8, 15, 30, 60, 120], 750, 1, 13, _others("water", 133, ["NequIP"]), ["H", "O"]),
}


def features(l_max: int, n_weights: int, elements: list[str]) -> list[int]:
    """Return the channels of l = 0 to l_max whose network has as nearly `n_weights` weights as possible."""

    def channels(n: int) -> list[int]:
        return [max(1, round(n * share)) for share in SHARES[: l_max + 1]]

    def excess(n: int) -> int:
        return count_weights(l_max, channels(n), elements) - n_weights

    larger = bisect.bisect_left(range(1024), 0, lo=1, key=excess)
    return channels(min((larger - 1, larger), key=lambda n: abs(excess(n))))


def count_weights(l_max: int, channels: list[int], elements: list[str]) -> int:
    """Return the number of weights of a network."""
    model = ModelConfig(**network(l_max, channels))
    ones = [1.0] * len(elements)
    spec = PotentialSpec.from_config(model, elements, e0=ones, scales=ones, neighbours=ones)
    return sum(p.numel() for p in Potential(spec).parameters())


def network(l_max: int, channels: list[int]) -> dict[str, Any]:
    """Return the model section of a config."""
    return {
        "preset": "balanced",
        "l_max": l_max,
        "features": channels,
        "cutoff": 5.0,
    }


@dataclass(frozen=True)
class Point:
    set: str
    l_max: int
    n_frames: int
    channels: list[int]


def train(point: Point, data_folder: Path, output: Path, seed: int, steps: int | None) -> dict[str, Any]:
    """Train one point on one thread and return its errors; a point trained before is read from its file.

    steps: of the training; None: those of the set's curve. Raises BenchmarkError when the training fails.
    """
    folder = output / f"{point.set}-l{point.l_max}-{point.n_frames}"
    if (folder / "point.json").exists():
        return json.loads((folder / "point.json").read_text())
    curve, published = CURVES[point.set], PUBLISHED[point.set]
    parts = split(SETS[point.set], data_folder, seed, curve.n_validation, point.n_frames)
    data = write(parts, folder / "data")
    steps = steps or curve.steps
    batch = min(curve.batch_size, point.n_frames)
    values = config(
        data,
        folder,
        max_epochs=max(1, round(steps / -(-point.n_frames // batch))),
        batch_size=batch,
        schedule="cosine",
        seed=seed,
        threads=1,
    )
    values["model"] = network(point.l_max, point.channels)
    command = [*training_command(values), "--overwrite"]
    with open(folder / "log.txt", "w") as log:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment).returncode
    if code:
        raise BenchmarkError(f"a training ended with code {code}; see {folder / 'log.txt'}")
    energy, forces, _ = errors(folder / "model.pt", data["test"], published.metric, published.energy)["all"]
    result = {
        "set": point.set,
        "l_max": point.l_max,
        "frames": point.n_frames,
        "channels": point.channels,
        "weights": count_weights(point.l_max, point.channels, curve.elements),
        "metric": published.metric,
        "energy": energy,
        "forces": forces,
        "steps": steps,
        "seed": seed,
    }
    (folder / "point.json").write_text(json.dumps(result) + "\n")
    return result


def slope(frames: Sequence[float], error: Sequence[float]) -> float:
    """Return d log(error) / d log(frames), by least squares."""
    return float(np.polyfit(np.log(frames), np.log(error), 1)[0])
