"""The format of Nequix's files (.nqx): a line of JSON, then arrays of numbers, each as `numpy.save` writes it.

Arrays of objects are pickles. They are refused, and nothing is unpickled. The size of an array is compared with the
size of the file before memory is reserved.
"""

import io
import json
import math
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equipot.errors import ModelFileError

_LONGEST_LINE = 1 << 22  # bytes; shipped models have 4 kB


class NequixFile:
    """A file that is read from its beginning to its end.

    Attributes:
        config: the JSON object of the first line.

    Raises:
        ModelFileError: the first line is no JSON object.
        OSError: the file cannot be read.
    """

    config: dict[str, Any]

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        line, newline, _ = content[:_LONGEST_LINE].partition(b"\n")
        if not newline:
            raise ModelFileError("its first line does not end; expected a line of JSON and then arrays")
        try:
            config = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise ModelFileError(f"its first line is no JSON ({str(error)[:80]})") from None
        if not isinstance(config, dict):
            raise ModelFileError(f"its first line holds a {type(config).__name__}; expected a JSON object")
        self.config = config
        self._content = memoryview(content)
        self._stream = io.BytesIO(content)
        self._stream.seek(len(line) + 1)

    def array(self, name: str, shape: Sequence[int]) -> Tensor:
        """Return the next array as float64.

        Args:
            name: what it is, for errors.
            shape: the expected shape.

        Raises:
            ModelFileError: the file ends, or the next array has another shape, or other content than finite numbers.
        """
        kind, found, fortran = self._header(name)
        if found != tuple(shape):
            raise ModelFileError(f"{name} has the shape {found}; its config says {tuple(shape)}")
        if kind.kind != "f" or kind.itemsize > 8:
            raise ModelFileError(f"{name} holds {_described(kind)}; expected floating-point numbers")
        start, size = self._stream.tell(), math.prod(found) * kind.itemsize
        if size > len(self._content) - start:
            raise ModelFileError(f"the file ends in {name}; copy it again")
        self._stream.seek(start + size)
        numbers = np.frombuffer(self._content[start : start + size], kind).astype(np.float64)
        if not np.isfinite(numbers).all():
            raise ModelFileError(f"{name} holds a number that is not finite")
        return torch.from_numpy(numbers.reshape(found, order="F" if fortran else "C").copy())

    def end(self) -> None:
        """Raise ModelFileError unless all arrays have been read; a line may end after the last."""
        rest = self._stream.read()
        if rest.strip():
            raise ModelFileError(
                f"{len(rest)} bytes follow its last array; it is a network that equipot does not have"
            )

    def _header(self, name: str) -> tuple[np.dtype, tuple[int, ...], bool]:
        if self._stream.tell() >= len(self._content):
            raise ModelFileError(f"the file ends before {name}; copy it again")
        try:
            version = np.lib.format.read_magic(self._stream)
            if version == (1, 0):
                shape, fortran, kind = np.lib.format.read_array_header_1_0(self._stream)
            elif version == (2, 0):
                shape, fortran, kind = np.lib.format.read_array_header_2_0(self._stream)
            else:
                raise ModelFileError(f"{name} has version {version} of numpy's format; expected 1.0 or 2.0")
        except (
            ValueError,
            TypeError,
            SyntaxError,
            RecursionError,
            MemoryError,
            tokenize.TokenError,
        ) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
            raise ModelFileError(f"{name} is no array of numpy's ({reason})") from None
        if any(n < 0 for n in shape):
            raise ModelFileError(f"{name} has the shape {shape}")
        return kind, tuple(int(n) for n in shape), bool(fortran)


def _described(kind: np.dtype) -> str:
    return "Python objects, which can run code" if kind.hasobject else f"numbers of type {kind.name}"[:60]
