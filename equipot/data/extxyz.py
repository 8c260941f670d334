"""(Extended) XYZ files, frame by frame.

ASE parses each frame; this module hands it one frame's text at a time. So a compressed file is read
straight through, memory holds one frame, an error knows its frame, and what ASE would pass over is an
error: rows that are too long or too short, a file that ends inside a frame.
"""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase import Atoms
from ase.io.extxyz import key_val_str_to_dict, read_xyz
from ase.io.formats import open_with_compression

from equipot.data.labels import symmetric
from equipot.errors import DataError


def iter_extxyz(path: Path) -> Iterator[Atoms]:
    """Atoms of every frame; raises DataError naming file and frame."""
    with open_with_compression(str(path), "r") as file:
        yield from _frames(file, path)


def _frames(file: IO[str], path: Path) -> Iterator[Atoms]:
    frame = line_number = 0
    lookahead = file.readline()
    while lookahead:
        line_number += 1
        if not lookahead.strip():  # blank lines between frames and at the end
            lookahead = file.readline()
            continue
        where = f"{path}: frame {frame} (line {line_number})"
        try:
            n_atoms = int(lookahead)
        except ValueError:
            raise DataError(
                f"{where}: expected the number of atoms, found {lookahead.strip()[:60]!r}"
            ) from None
        if n_atoms < 0:
            raise DataError(f"{where}: the number of atoms is {n_atoms}")
        body = [file.readline() for _ in range(1 + n_atoms)]
        if not all(body):
            rows = max(sum(map(bool, body)) - 1, 0)
            raise DataError(f"{where}: the file ends after {rows} of {n_atoms} atoms; it is truncated")
        if n_atoms and _cut_off(body[1:]):
            raise DataError(
                f"{where}: the file ends inside the number {body[-1].split()[-1]}; it is truncated"
            )
        text = [lookahead, *body]
        line_number += len(body)
        lookahead = file.readline()
        while lookahead.lstrip().startswith("VEC"):  # cell vectors in the style of ADF
            text.append(lookahead)
            line_number += 1
            lookahead = file.readline()
        yield _parse(text, n_atoms, where)
        frame += 1


def _cut_off(rows: list[str]) -> bool:
    """Whether the file's last row, without an end of line, lacks digits that all rows before it have."""
    if rows[-1].endswith("\n") or len(rows) < 2:
        return False
    # Writers with a fixed format give all numbers of a column equally many decimals.
    *before, last = [len(row.split()[-1].partition(".")[2]) for row in rows if row.split()] or [0]
    return len(set(before)) == 1 and last < before[0]


def _parse(text: list[str], n_atoms: int, where: str) -> Atoms:
    columns: list[int] = []

    def comment(line: str) -> dict[str, Any]:
        info = key_val_str_to_dict(line)
        # ASE keeps the upper triangle of `stress` alone, so its symmetry is looked at here.
        stress = info.get("stress")
        if isinstance(stress, np.ndarray) and stress.shape == (3, 3) and stress.dtype.kind in "if":
            symmetric(stress, f"{where}: stress")
        layout = str(info.get("Properties", "")).split(":")
        columns.append(sum(int(c) for c in layout[2::3]))
        return info

    try:
        atoms = next(read_xyz(StringIO("".join(text)), slice(0, 1), properties_parser=comment))
    except DataError:
        raise
    except Exception as error:
        _check_rows(text, n_atoms, columns, where)
        raise DataError(
            f"{where}: not a readable extended XYZ frame ({error or type(error).__name__})"
        ) from None
    _check_rows(text, n_atoms, columns, where)
    return atoms


def _check_rows(text: list[str], n_atoms: int, columns: list[int], where: str) -> None:
    if not columns or columns[0] == 0:  # plain XYZ says nothing of its columns
        return
    for k, row in enumerate(text[2 : 2 + n_atoms]):
        if len(row.split()) != columns[0]:
            raise DataError(
                f"{where}: atom {k} has {len(row.split())} columns, but Properties announces {columns[0]}"
            )
