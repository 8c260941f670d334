"""The two measurements: differences over all structures, and times of steps by turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from peers.timing import interleave

from equipot.convert import convert
from foundation import differences
from foundation.client import Side

MODALITIES = {"7net-0": None, "7net-l3i5": None, "7net-mf-0": "PBE"}
DTYPES = ("float32", "float64")
SIDES = ("equipot", "sevennet")


@dataclass
class Bench:
    """Both sides, and where files go."""

    sides: Mapping[str, Side]
    work: Path
    reuse: bool
    say: Callable[[str], None]
    made: set[Path] = field(default_factory=set)

    def model(self, name: str, dtype: Any) -> Path:
        """The converted model file, made by this run or, where that is allowed, by an earlier one."""
        path = self.work / f"{name}-{dtype}.pt"
        if path not in self.made and not (self.reuse and path.exists()):
            self.say(f"{name}: converting to {dtype}")
            convert(self.sides["sevennet"].versions[name], path, modality=MODALITIES[name], dtype=dtype)
        self.made.add(path)
        return path

    def prepare(self, side: str, job: str, name: str, dtype: str, **request: Any) -> None:
        model: dict[str, Any] = {"model": name, "modality": MODALITIES[name], "dtype": dtype}
        if side == "equipot":
            model = {"model": str(self.model(name, dtype).resolve())}
        self.sides[side].prepare(job, **model, **request)

    def results(
        self, side: str, name: str, dtype: str, frames: Sequence[Atoms], stem: str
    ) -> differences.Results:
        structures, results = self.work / f"{stem}.extxyz", self.work / f"{stem}-{name}-{side}-{dtype}.npz"
        ase.io.write(structures, frames)
        self.say(f"{name}: {side}'s calculator in {dtype}")
        self.prepare(
            side,
            "results",
            name,
            dtype,
            structures=str(structures.resolve()),
            results=str(results.resolve()),
        )
        self.sides[side].time("results")
        with np.load(results) as found:
            return dict(found)


def compare(bench: Bench, name: str, structures: Sequence[tuple[str, Atoms]]) -> list[dict[str, Any]]:
    """Rows of differences of a model, by kind of structure."""
    frames = [atoms for _, atoms in structures]
    found = {
        side: {dtype: bench.results(side, name, dtype, frames, "structures") for dtype in DTYPES}
        for side in SIDES
    }
    kinds, sizes = [kind for kind, _ in structures], [len(atoms) for atoms in frames]
    return [
        {"model": name, **row} for row in differences.rows(kinds, sizes, found["equipot"], found["sevennet"])
    ]


def speed(
    bench: Bench, name: str, structures: Mapping[str, Atoms], rounds: int, round_seconds: float
) -> list[dict[str, Any]]:
    """Seconds per step of a model on structures by kind, both sides by turns, in float32."""
    frames = list(structures.values())
    results = {side: bench.results(side, name, "float32", frames, "timed") for side in SIDES}
    file = str((bench.work / "timed.extxyz").resolve())
    found = []
    for k, (kind, atoms) in enumerate(structures.items()):
        bench.say(f"{name}: steps of {kind}")
        turns = {}
        for side in SIDES:
            bench.prepare(side, kind, name, "float32", structures=file, index=k)
            turns[side] = partial(bench.sides[side].time, kind)
        times, _ = interleave(turns, rounds, round_seconds)
        row = {"model": name, "kind": kind, "atoms": len(atoms), "formula": atoms.get_chemical_formula()}
        for side in SIDES:
            row[f"{side}_seconds"], row[f"{side}_seconds_min"] = times[side].median, times[side].minimum
            row[f"{side}_turns"] = times[side].rounds
        row["ratio"] = times["sevennet"].median / times["equipot"].median
        row["ratio_min"] = times["sevennet"].minimum / times["equipot"].minimum
        row.update(asdict(differences.difference(results["equipot"], results["sevennet"], {k: len(atoms)})))
        found.append(row)
    return found
