"""The two measurements: differences over all structures, and times of steps by turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from benchmarks.peers.worker import Worker
from benchmarks.timing import interleave
from equipot.convert import convert

from . import differences
from .families import Family

DTYPES = ("float32", "float64")
SIDES = ("equipot", "peer")


@dataclass
class Sides:
    """The workers of both packages, and the folder of their files.

    A model is one of the family's by name, or a path.
    """

    family: Family
    workers: Mapping[str, Worker]
    work: Path
    reuse: bool
    show: Callable[[str], None]
    converted: set[Path] = field(default_factory=set)

    def model(self, name: str, dtype: Any) -> Path:
        """Return the converted model file, written by this run or, with `reuse`, by an earlier one."""
        path = self.work / f"{Path(name).stem}-{dtype}.pt"
        if path not in self.converted and not (self.reuse and path.exists()):
            checkpoint = self.workers["peer"].ask("checkpoint", model=name)["path"]
            self.show(f"{name}: converting to {dtype}")
            convert(checkpoint, path, modality=self.family.models.get(name), dtype=dtype)
        self.converted.add(path)
        return path

    def prepare(self, task: str, side: str, job: str, name: str, dtype: str, **arguments: Any) -> None:
        """Prepare a job of `calculator_tasks` for a model on one side."""
        model: dict[str, Any] = {"model": name, "modality": self.family.models.get(name), "dtype": dtype}
        if side == "equipot":
            model = {"model": str(self.model(name, dtype).resolve())}
        self.workers[side].ask(task, job=job, **model, **arguments)

    def results(
        self, side: str, name: str, dtype: str, frames: Sequence[Atoms], stem: str
    ) -> differences.Results:
        """Return one side's energies, forces and stresses of structures."""
        package = self.family.peer.package if side == "peer" else side
        structures = self.work / f"{stem}.extxyz"
        results = self.work / f"{stem}-{Path(name).stem}-{package}-{dtype}.npz"
        ase.io.write(structures, frames)
        self.show(f"{name}: {package}'s calculator in {dtype}")
        files = {"structures": str(structures.resolve()), "results": str(results.resolve())}
        self.prepare("results", side, "results", name, dtype, **files)
        self.workers[side].time(1, "results")
        with np.load(results) as arrays:
            return dict(arrays)


def compare(sides: Sides, name: str, structures: Sequence[tuple[str, Atoms]]) -> list[dict[str, Any]]:
    """Return rows of a model's differences, by kind of structure."""
    frames = [atoms for _, atoms in structures]
    results = {
        side: {dtype: sides.results(side, name, dtype, frames, "structures") for dtype in DTYPES}
        for side in SIDES
    }
    kinds, sizes = [kind for kind, _ in structures], [len(atoms) for atoms in frames]
    rows = differences.rows(kinds, sizes, results["equipot"], results["peer"])
    return [{"model": Path(name).stem, "peer": sides.family.title, **row} for row in rows]


def speed(
    sides: Sides, name: str, structures: Mapping[str, Atoms], rounds: int, round_seconds: float
) -> list[dict[str, Any]]:
    """Return rows with the seconds per step of a model by kind of structure, both sides by turns, in float32."""
    frames = list(structures.values())
    results = {side: sides.results(side, name, "float32", frames, "timed") for side in SIDES}
    file = str((sides.work / "timed.extxyz").resolve())
    rows = []
    for k, (kind, atoms) in enumerate(structures.items()):
        sides.show(f"{name}: steps of {kind}")
        turns = {}
        for side in SIDES:
            sides.prepare("steps", side, kind, name, "float32", structures=file, index=k)
            turns[side] = partial(sides.workers[side].time, job=kind)
        times, _ = interleave(turns, rounds, round_seconds)
        row = {"model": Path(name).stem, "peer": sides.family.title, "kind": kind, "atoms": len(atoms)}
        row["formula"] = atoms.get_chemical_formula()
        for side in SIDES:
            row[f"{side}_seconds"], row[f"{side}_seconds_min"] = times[side].median, times[side].minimum
            row[f"{side}_turns"] = times[side].rounds
        row["ratio"] = times["peer"].median / times["equipot"].median
        row["ratio_min"] = times["peer"].minimum / times["equipot"].minimum
        row.update(asdict(differences.difference(results["equipot"], results["peer"], {k: len(atoms)})))
        rows.append(row)
    return rows
