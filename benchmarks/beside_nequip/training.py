"""A training of nequip by its own command, in its own environment."""

import csv
import os
import re
import subprocess
from pathlib import Path

import ase.io
import yaml
from ase.calculators.singlepoint import SinglePointCalculator

from benchmarks.accuracy.training import costs
from benchmarks.command import BenchmarkError

from .tutorial import settings


def train_nequip(
    python: Path, data: dict[str, str], output: Path, seconds: float, threads: int, seed: int
) -> dict[str, float]:
    """Train for a time and return energy (meV/atom) and forces (meV/Å) RMSE, epochs, minutes and cpu_minutes.

    data: paths of train, validation and test. Raises BenchmarkError when nequip fails.
    """
    output.mkdir(parents=True, exist_ok=True)
    frames = ase.io.read(data["train"], ":")
    isolated = {f.get_chemical_symbols()[0]: f.get_potential_energy() for f in frames if len(f) == 1}
    elements = sorted({s for frame in frames for s in frame.get_chemical_symbols()})
    e0 = {e: float(isolated[e]) for e in elements} if set(elements) <= set(isolated) else None
    parts = ("train", "validation", "test")
    files = {part: _without_stress(data[part], output / f"{part}.extxyz") for part in parts}
    config = settings(files, elements, e0, seconds, seed)
    config["hydra"] = {"run": {"dir": str((output / "run").resolve())}}
    (output / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    command = [str(python.parent / "nequip-train"), "-cp", str(output.resolve()), "-cn", "config"]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with open(output / "log.txt", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        *_, cost = costs(process)
    if process.returncode:
        raise BenchmarkError(f"nequip-train ended with code {process.returncode}; see {output / 'log.txt'}")
    text = (output / "log.txt").read_text()
    return {
        "energy": _metric(text, "per_atom_energy_rmse"),
        "forces": _metric(text, "forces_rmse"),
        "epochs": _epochs(output / "run" / "metrics"),
        **cost,
    }


def _without_stress(source: str, target: Path) -> str:
    """Write energies and forces alone: nequip cannot batch frames with and without stress, and its tutorial has none.

    Isolated atoms are left out: without edges they cannot be trained on, and the config has their energies.
    """
    frames = []
    for frame in ase.io.read(source, ":"):
        if len(frame) > 1:
            energy, forces = frame.get_potential_energy(), frame.get_forces()
            frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
            frames.append(frame)
    ase.io.write(target, frames)
    return str(target.resolve())


def _metric(text: str, name: str) -> float:
    """Read a metric from nequip's table of test errors (eV) and return it in meV."""
    values = re.findall(rf"test0_epoch/{name}\W+([0-9.eE+-]+)", text)
    if not values:
        raise BenchmarkError(f"nequip's log has no test0_epoch/{name}")
    return 1000 * float(values[-1])


def _epochs(folder: Path) -> int:
    """Return the number of epochs in the metrics that nequip wrote."""
    epochs = 0
    for path in folder.rglob("metrics.csv"):
        with open(path) as file:
            epochs = max([epochs, *(1 + int(row["epoch"]) for row in csv.DictReader(file))])
    return epochs
