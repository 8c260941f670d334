"""Reading of labelled structures from files in any format of ASE. Nothing is ignored silently."""

import difflib
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
    """Return all frames of all files; see `iter_frames`."""
    return list(iter_frames(patterns, keys))


def iter_frames(patterns: Sequence[str], keys: LabelKeys | None = None) -> Iterator[Frame]:
    """Yield the frames of all files, one at a time.

    NaN and infinite values of labels and positions are not refused; `check_frames` reports them.

    Args:
        patterns: files or globs, also with `**`. The files of a glob are sorted by name. Each file is read once.
        keys: the keys of the labels; by default, ASE's standard results are read.

    Raises:
        DataError: a pattern matches no file; a file is empty, truncated or unreadable; a label has the wrong shape; or,
            after the last frame, no frame has a key of `keys`.
    """
    keys = keys or LabelKeys()
    file_keys: set[str] = set()
    for path in expand(patterns):
        number = -1
        for number, atoms in enumerate(iter_atoms(path)):
            file_keys.update(available(atoms))
            yield frame_from_atoms(atoms, keys, f"{path}#{number}")
        if number < 0:
            raise DataError(f"{path}: the file holds no structures")
    check_mapped_keys(keys, file_keys, ", ".join(patterns))


def expand(patterns: Sequence[str], relative_to: str = "") -> list[Path]:
    """Return the files that match the patterns, each once.

    Args:
        patterns: files or globs.
        relative_to: the folder of relative paths in words, if users may expect another one.

    Raises:
        DataError: a pattern matches no file.
    """
    if isinstance(patterns, str):
        patterns = [patterns]
    files: dict[Path, None] = {}
    for pattern in map(os.path.expanduser, patterns):
        # The name of an existing file is no pattern, even if it has brackets.
        matches = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))
        if not matches:
            problem = "matches no file" if glob.has_magic(pattern) else "there is no such file"
            note = f" (paths are relative to {relative_to})" if relative_to else ""
            path = Path(os.path.abspath(pattern))
            raise DataError(f"{path}: {problem}{note}{_hint(path)}")
        for match in matches:
            files[Path(match)] = None
    return list(files)


def _hint(path: Path) -> str:
    folder = next(p for p in path.parents if p.is_dir() or glob.has_magic(p.name))
    if folder != path.parent:
        missing = path.relative_to(folder).parts[0]
        return "" if glob.has_magic(str(folder)) else f"; {folder} has no folder '{missing}'"
    near = difflib.get_close_matches(path.name, os.listdir(folder), n=1) if folder.is_dir() else []
    return f"; did you mean {near[0]}?" if near else ""


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
        raise DataError(f"{path}: ASE does not know this file format; the usual format is extxyz") from None
    except (lzma.LZMAError, EOFError) as error:
        raise DataError(f"{path}: the compressed file is damaged or truncated ({error})") from None
    except UnicodeError as error:
        raise DataError(
            f"{path}: not a text file in UTF-8 ({error}); convert it with `iconv -t UTF-8`"
        ) from None


def _marked(frames: Iterator[Atoms], unconverged: Collection[int]) -> Iterator[Atoms]:
    for k, atoms in enumerate(frames):
        if k in unconverged:
            atoms.info["scf_converged"] = False
        yield atoms


def _decompressed(path: Path) -> Iterator[Atoms]:
    # ASE's readers seek. In an LZMA stream, every step back decompresses the file from its start.
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
        raise DataError(f"{shown or path}: ASE cannot read frame {number} ({reason[:200]})") from None
