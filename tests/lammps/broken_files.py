"""Model files that must not run: damaged ones, other files, and models that are not what they say."""

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipot.model_file import torchscript, write_model
from equipot.model_file.module import DeployedPotential
from equipot.ops import Topology
from tests.lammps.conftest import potential

# Writes the broken file, its first argument, given a good model file.
Builder = Callable[[Path, Path], None]


def no_file(broken: Path, good: Path) -> None:
    pass


def folder(broken: Path, good: Path) -> None:
    broken.mkdir()


def pipe(broken: Path, good: Path) -> None:
    """Reading it waits for somebody to write."""
    os.mkfifo(broken)


def empty(broken: Path, good: Path) -> None:
    broken.touch()


def text(broken: Path, good: Path) -> None:
    broken.write_text("not a model\n" * 100)


def unreadable(broken: Path, good: Path) -> None:
    broken.write_bytes(good.read_bytes())
    broken.chmod(0)


def shortened(share: float) -> Builder:
    """Only the first part of the file arrived; 1: all but the last byte."""

    def build(broken: Path, good: Path) -> None:
        content = good.read_bytes()
        broken.write_bytes(content[: min(int(share * len(content)), len(content) - 1)])

    return build


def flipped(pattern: str) -> Builder:
    """One bit is wrong in the middle of the largest record of such a name: a bad disk or transfer."""

    def build(broken: Path, good: Path) -> None:
        content = bytearray(good.read_bytes())
        with zipfile.ZipFile(good) as archive:
            records = [record for record in archive.infolist() if fnmatch(record.filename, pattern)]
        record = max(records, key=lambda r: r.compress_size)
        header = (
            record.header_offset
        )  # of 30 bytes; the lengths of the name and of what follows it are its last
        lengths = (content[header + k : header + k + 2] for k in (26, 28))
        start = header + 30 + sum(int.from_bytes(length, "little") for length in lengths)
        content[start + record.compress_size // 2] ^= 1
        broken.write_bytes(content)

    return build


def reprogrammed(change: Callable[[dict[str, Any], bytearray], None]) -> Builder:
    """A model whose program was changed: its values, and the content of its arrays."""

    def build(broken: Path, good: Path) -> None:
        with zipfile.ZipFile(good) as archive, zipfile.ZipFile(broken, "w") as written:
            names = {Path(name).name: name for name in archive.namelist() if "/extra/" in name}
            values = json.loads(archive.read(names["program.json"]))
            data = bytearray(archive.read(names["program.bin"]))
            change(values, data)
            written.writestr(names["metadata.json"], archive.read(names["metadata.json"]))
            written.writestr(names["program.json"], json.dumps(values))
            written.writestr(names["program.bin"], bytes(data))

    return build


def with_entry(path: Sequence[str | int], value: object) -> Builder:
    """A program with another value at a place; None: without it."""

    def change(values: dict[str, Any], data: bytearray) -> None:
        target: Any = values
        for key in path[:-1]:
            target = target[key]
        if value is None:
            del target[path[-1]]
        else:
            target[path[-1]] = value

    return reprogrammed(change)


def with_array(find: Callable[[dict[str, Any]], int], change: Callable[[NDArray], NDArray]) -> Builder:
    """A program in which one array, found by its number, has other content."""

    def changed(values: dict[str, Any], data: bytearray) -> None:
        entry = values["arrays"][find(values)]
        n_bytes = int(np.prod(entry["shape"])) * np.dtype(entry["dtype"]).itemsize
        part = slice(entry["offset"], entry["offset"] + n_bytes)
        data[part] = change(np.frombuffer(bytes(data[part]), dtype=entry["dtype"])).tobytes()

    return reprogrammed(changed)


def tested(name: str, change: Callable[[NDArray], NDArray]) -> Builder:
    """A program whose self-test has another array."""
    return with_array(lambda values: values["self_test"][0][name], change)


def of_operator(kind: str, field: str, change: Callable[[NDArray], NDArray]) -> Builder:
    """A program in which the first operator of a kind has another array."""
    return with_array(
        lambda values: next(op for op in values["operators"] if op["kind"] == kind)[field], change
    )


def without_program(broken: Path, good: Path) -> None:
    """A model of an earlier version."""
    with zipfile.ZipFile(good) as archive, zipfile.ZipFile(broken, "w") as written:
        for name in archive.namelist():
            if "program" not in name:
                written.writestr(name, archive.read(name))


def checkpoint(broken: Path, good: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, broken)


def archive(broken: Path, good: Path) -> None:
    with zipfile.ZipFile(broken, "w") as file:
        file.writestr("README", "no model in here")


class Foreign(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Dangerous(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, "written_by_a_model")
        return x


def other(module: type[torch.nn.Module]) -> Builder:
    return lambda broken, good: torchscript.script(module()).save(str(broken))


def altered(**attributes: object) -> Builder:
    """A model with other values of its attributes; a function gets the value that was there."""

    def build(broken: Path, good: Path) -> None:
        module = torchscript.load(good)
        for name, value in attributes.items():
            setattr(module, name, value(getattr(module, name)) if callable(value) else value)
        module.save(str(broken))

    return build


def self_test(entry: int, change: Callable[[Tensor], Tensor]) -> Builder:
    """Entries: 0 species, 1 edge_index, 2 edge_vectors, 3 atomic energies, 4 edge gradient."""
    return altered(self_test=lambda cases: [(*c[:entry], change(c[entry]), *c[entry + 1 :]) for c in cases])


def not_finite(broken: Path, good: Path) -> None:
    module = torchscript.load(good)
    module.potential.scales.fill_(float("nan"))
    module.save(str(broken))


def rebuilt(
    remove: str = "", kind: type[DeployedPotential] = DeployedPotential, **attributes: object
) -> Builder:
    """A model written anew: with attributes of another type, or without one."""

    def build(broken: Path, good: Path) -> None:
        given = torchscript.load(good)
        module = kind(potential(), given.format_version)
        module.self_test = given.self_test
        for name, value in attributes.items():
            setattr(module, name, value)
        if remove:
            delattr(module, remove)
        torchscript.script(module).save(str(broken))

    return build


def with_repulsion(broken: Path, good: Path) -> None:
    """A good model; its energy of atoms at one place is infinite."""
    write_model(broken, potential(repulsion="zbl"), verify=False)


def refuse_close(edge_vectors: Tensor) -> None:
    if edge_vectors.shape[0] > 0 and float(edge_vectors.square().sum(1).min()) < 1e-3:
        raise RuntimeError("atoms coincide")


class FailsWhenClose(DeployedPotential):
    """Raises where atoms coincide."""

    @torch.jit.export
    def interact(
        self, k: int, features: Tensor, sent: Tensor, species: Tensor, edge_vectors: Tensor, graph: Topology
    ) -> Tensor:
        refuse_close(edge_vectors)
        return self.potential.interact(k, features, sent, species, edge_vectors, graph)
