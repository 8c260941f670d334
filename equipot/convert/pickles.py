"""Checkpoints of other packages, which are pickles, read without running the code that they name.

torch's restricted unpickler creates tensors and plain values and calls nothing else. Checkpoints also hold numpy
arrays. numpy must not rebuild them: a forged state of its types could make it take numbers for addresses of objects. So
the classes of this module replace the names of numpy, and read the numbers from bytes.
"""

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equipot.errors import ModelFileError

_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class _Type:
    """A replacement of `numpy.dtype` for numbers."""

    def __init__(self, name: Any = None, *_: Any) -> None:
        if name not in _NUMBERS:
            raise ValueError(f"an array has the type {str(name)[:20]}; expected numbers")
        self.name, self.order = name, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def read(self, data: Any) -> np.ndarray:
        if not isinstance(data, bytes | bytearray):
            raise ValueError("the numbers of an array are not bytes")
        return np.frombuffer(data, np.dtype(self.order + self.name)).astype(self.name)


class _Array:
    """A replacement of `numpy.ndarray`; `values` holds the array after `__setstate__`."""

    values: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, _Type):
            raise ValueError("an array has no type")
        self.values = kind.read(data).reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(kind: Any, data: Any = None) -> Any:
    if not isinstance(kind, _Type):
        raise ValueError("a number has no type")
    (value,) = kind.read(data.encode("latin1") if isinstance(data, str) else data).tolist()
    return value


_SAFE: list[Any] = [
    (_Type, "numpy.dtype"),
    (_Array, "numpy.ndarray"),
    *((_reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


def _plain(value: Any, depth: int = 0) -> Any:
    """Return the value with numpy arrays in place of their replacements."""
    if depth > 100:
        raise ValueError("values nested more than 100 deep")
    if isinstance(value, _Array):
        return value.values
    if isinstance(value, dict):
        for key in list(value):
            value[key] = _plain(value[key], depth + 1)
    if isinstance(value, list):
        value[:] = [_plain(v, depth + 1) for v in value]
    if isinstance(value, tuple):
        return tuple(_plain(v, depth + 1) for v in value)
    return value


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the tensors, arrays and plain values of a checkpoint, on the CPU.

    Raise ModelFileError for a file that is not a checkpoint, is damaged, or names other objects. They are not called.
    """
    try:
        with torch.serialization.safe_globals(_SAFE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's warnings about formats; errors are raised below
            checkpoint = _plain(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file; expected a checkpoint of SevenNet or NequIP") from None
    except IsADirectoryError:
        raise ModelFileError(f"{path} is a folder; expected a checkpoint of SevenNet or NequIP") from None
    except PermissionError:
        raise ModelFileError(f"{path}: no permission to read it; change its permissions") from None
    except pickle.UnpicklingError as error:
        raise ModelFileError(f"{path}: {_reason(str(error))}") from None
    # torch raises OSError for a truncated file.
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
    ) as error:
        raise ModelFileError(
            f"{path}: not a checkpoint, or a damaged one ({_first_line(error)}); copy it again"
        ) from None
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise ModelFileError(f"{path}: holds a {kind}; expected the dictionary of a checkpoint")
    return checkpoint


def _reason(message: str) -> str:
    name = re.search(r"GLOBAL (\S+)", message) or re.search(
        r"[Tt]rying to (?:load|call|instantiate|set\w*) (?:the )?(\S+)", message
    )
    if name is None:
        return f"not a checkpoint, or a damaged one ({message.splitlines()[0][:120]}); copy it again"
    return (
        f"refused, because it asks to load {name[1]}; expected tensors, arrays and plain values, "
        "which cannot run code"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
