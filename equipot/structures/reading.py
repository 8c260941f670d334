"""Labelled structures from files: anything ase.io reads, with nothing dropped in silence."""

import glob
import lzma
import os
import shutil
import tempfile
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ase import Atoms
from ase.io import iread
from ase.io.formats import UnknownFileTypeError, filetype

from equipot.errors import DataError
from equipot.structures.extxyz import iter_extxyz
from equipot.structures.frame import Frame
from equipot.structures.labels import LabelKeys, available, check_mapped_keys, frame_from_atoms
from equipot.structures.vasp import unconverged_steps

__all__ = ["LabelKeys", "expand", "iter_frames", "read_frames"]


def read_frames(patterns: Sequence[str], keys: LabelKeys | None = None) -> list[Frame]:
    """All frames of all files; see iter_frames."""
    return list(iter_frames(patterns, keys))


def iter_frames(patterns: Sequence[str], keys: LabelKeys | None = None) -> Iterator[Frame]:
    """Frames of all files, one at a time.

    Args:
        patterns: files or globs (** included); a glob's files come sorted by name, each file once
        keys: names of the labels; ASE's standard results by default

    Labels and positions that are NaN or infinite are read as they are: `check_frames` reports them. Raises
    DataError, in one sentence with file and frame, for a pattern without files, a file that is empty,
    truncated or unreadable, a label of the wrong shape, and, after the last frame, for a named key that no
    frame had.
    """
    keys = keys or LabelKeys()
    seen: set[str] = set()
    for path in expand(patterns):
        number = -1
        for number, atoms in enumerate(iter_atoms(path)):
            seen.update(available(atoms))
            yield frame_from_atoms(atoms, keys, f"{path}#{number}")
        if number < 0:
            raise DataError(f"{path}: the file holds no structures")
    check_mapped_keys(keys, seen, ", ".join(patterns))


def expand(patterns: Sequence[str]) -> list[Path]:
    """Files that the patterns name, each once. Raises DataError for a pattern that matches none."""
    if isinstance(patterns, str):
        patterns = [patterns]
    files: dict[Path, None] = {}
    for pattern in map(os.path.expanduser, patterns):
        # A name that exists is meant literally, even with brackets in it.
        matches = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))
        if not matches:
            what = "matches no file" if glob.has_magic(pattern) else "there is no such file"
            raise DataError(f"{pattern}: {what}")
        for match in matches:
            files[Path(match)] = None
    return list(files)


def iter_atoms(path: Path) -> Iterator[Atoms]:
    """Yield the structures of a file as ASE reads them; raises DataError for one that cannot be read."""
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")
    try:
        form = filetype(str(path))
        if form in ("extxyz", "xyz"):
            yield from iter_extxyz(path)
        elif path.suffix == ".xz":
            yield from _decompressed(path)
        else:
            yield from _marked(_by_ase(path), unconverged_steps(path, form))
    except UnknownFileTypeError:
        raise DataError(f"{path}: not a file format ase.io knows; extxyz is the usual one") from None
    except (lzma.LZMAError, EOFError) as error:
        raise DataError(f"{path}: the compressed file is damaged or truncated ({error})") from None
    except UnicodeError as error:
        raise DataError(
            f"{path}: not a text file in UTF-8 ({error}); convert another encoding with `iconv -t UTF-8`"
        ) from None


def _marked(frames: Iterator[Atoms], unconverged: Collection[int]) -> Iterator[Atoms]:
    for k, atoms in enumerate(frames):
        if k in unconverged:
            atoms.info["scf_converged"] = False
        yield atoms


def _decompressed(path: Path) -> Iterator[Atoms]:
    # ASE's readers seek; in an LZMA stream every step back decompresses from the start.
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        with lzma.open(path, "rb") as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target)
        yield from _by_ase(plain, shown=path)


def _by_ase(path: Path, shown: Path | None = None) -> Iterator[Atoms]:
    number = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for atoms in iread(str(path), index=":", do_not_split_by_at_sign=True):
                yield atoms
                number += 1
    except (DataError, UnknownFileTypeError, GeneratorExit):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{shown or path}: frame {number} cannot be read by ase.io ({reason[:200]})"
        ) from None
