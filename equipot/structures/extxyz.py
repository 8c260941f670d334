"""Reading of XYZ and extended XYZ files, frame by frame.

ASE parses each frame. This module gives it the text of one frame at a time, which has four advantages. A compressed
file is read in one pass. Memory holds only one frame. An error message names its frame. Faults that ASE ignores are
errors: rows that are too long or too short, and a file that ends inside a frame. The text is UTF-8 with or without a
byte order mark, or UTF-16 with one.
"""

from collections.abc import Iterator
from io import BufferedReader, RawIOBase, StringIO, TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.extxyz import read_xyz
from ase.io.formats import open_with_compression

from equipot.errors import DataError
from equipot.structures.extxyz_header import read_header
from equipot.structures.labels import symmetric

# The columns of a plain XYZ file, whose header has no Properties.
_PLAIN = "species:S:1:pos:R:3"


def iter_extxyz(path: Path) -> Iterator[Atoms]:
    """Yield the Atoms of every frame. Raise DataError with the file and the frame if one cannot be read."""
    with open_with_compression(str(path), "rb") as stream:
        buffered = BufferedReader(cast(RawIOBase, stream))
        is_utf16 = buffered.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff")
        yield from _frames(TextIOWrapper(buffered, encoding="utf-16" if is_utf16 else "utf-8-sig"), path)


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
        while lookahead.lstrip().startswith("VEC"):  # cell vectors in ADF's style
            text.append(lookahead)
            line_number += 1
            lookahead = file.readline()
        yield _parse(text, n_atoms, where)
        frame += 1


def _cut_off(rows: list[str]) -> bool:
    """Return whether the last row of the file is cut off: no end of line, and fewer digits than all other rows."""
    if rows[-1].endswith("\n") or len(rows) < 2:
        return False
    # Programs with a fixed format write all numbers of a column with the same number of decimals.
    *before, last = [len(row.split()[-1].partition(".")[2]) for row in rows if row.split()] or [0]
    return len(set(before)) == 1 and last < before[0]


def _parse(text: list[str], n_atoms: int, where: str) -> Atoms:
    columns: list[int] = []

    def comment(line: str) -> dict[str, Any]:
        info = read_header(line, n_atoms, where)
        # ASE keeps only the upper triangle of `stress`, so its symmetry is checked here.
        stress = info.get("stress")
        if isinstance(stress, np.ndarray) and stress.shape == (3, 3) and stress.dtype.kind in "if":
            symmetric(stress, f"{where}: stress")
        layout = str(info.get("Properties", _PLAIN)).split(":")
        columns.append(sum(int(c) for c in layout[2::3]))
        _check_species(text[2 : 2 + n_atoms], layout, where)
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


def _check_species(rows: list[str], layout: list[str], where: str) -> None:
    """Raise DataError for an atom whose species is not an element. ASE's own message would be only the word."""
    if "species" not in layout[::3]:
        return
    column = sum(int(c) for c in layout[2 : 3 * layout[::3].index("species") : 3])
    for k, row in enumerate(rows):
        name = row.split()[column : column + 1]
        if name and not name[0].isdigit() and not atomic_numbers.get(name[0].capitalize(), 0) > 0:
            raise DataError(
                f"{where}: the species of atom {k} is {name[0]!r}, which is not a chemical element; expected a symbol "
                "such as Si, without labels or ghost atoms"
            )


def _check_rows(text: list[str], n_atoms: int, columns: list[int], where: str) -> None:
    if not columns:  # ASE reads no header if the cell vectors are in ADF's style
        return
    for k, row in enumerate(text[2 : 2 + n_atoms]):
        if len(row.split()) != columns[0]:
            source = "Properties names" if "=" in text[1] else "plain XYZ has"
            raise DataError(
                f"{where}: atom {k} has {len(row.split())} columns, but {source} {columns[0]}; name every "
                "column in Properties"
            )
