"""Reading foreign checkpoints, which are pickles, without running what they ask to be run.

torch's restricted unpickler makes tensors and plain values, and calls nothing else. Checkpoints also hold numpy's
arrays. numpy is not asked to rebuild them: the state of its types can be forged, so that numbers are taken for
addresses of objects. Its names stand for classes of ours, which read numbers from bytes.
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
    """`numpy.dtype` of numbers."""

    def __init__(self, name: Any = None, *_: Any) -> None:
        if name not in _NUMBERS:
            raise ValueError(f"an array of type {str(name)[:20]}; expected numbers")
        self.name, self.order = name, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def read(self, data: Any) -> np.ndarray:
        if not isinstance(data, bytes | bytearray):
            raise ValueError("an array whose numbers are not bytes")
        return np.frombuffer(data, np.dtype(self.order + self.name)).astype(self.name)


class _Array:
    """`numpy.ndarray`; the array is in `values` once its state was given."""

    values: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, _Type):
            raise ValueError("an array without a type")
        self.values = kind.read(data).reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(kind: Any, data: Any = None) -> Any:
    if not isinstance(kind, _Type):
        raise ValueError("a number without a type")
    (value,) = kind.read(data.encode("latin1") if isinstance(data, str) else data).tolist()
    return value


_SAFE: list[Any] = [
    (_Type, "numpy.dtype"),
    (_Array, "numpy.ndarray"),
    *((_reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


def _plain(value: Any, depth: int = 0) -> Any:
    """The same with numpy's arrays in the place of what stood for them."""
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
    """A checkpoint's tensors, arrays and plain values, on the CPU.

    Raises ModelFileError when it is none, is damaged, or names anything else: the name is said, and not called.
    """
    try:
        with torch.serialization.safe_globals(_SAFE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about formats: what matters is said below
            found = _plain(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file; expected a checkpoint of SevenNet or NequIP") from None
    except IsADirectoryError:
        raise ModelFileError(f"{path} is a folder; expected a checkpoint of SevenNet or NequIP") from None
    except PermissionError:
        raise ModelFileError(f"{path} cannot be read; give yourself the right to read it") from None
    except pickle.UnpicklingError as error:
        raise ModelFileError(f"{path}: {_reason(str(error))}") from None
    # Of a file cut short torch says OSError too.
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
    if not isinstance(found, dict):
        raise ModelFileError(f"{path}: holds a {type(found).__name__}; expected a checkpoint's dictionary")
    return found


def _reason(message: str) -> str:
    name = re.search(r"GLOBAL (\S+)", message) or re.search(
        r"[Tt]rying to (?:load|call|instantiate|set\w*) (?:the )?(\S+)", message
    )
    if name is None:
        return f"not a checkpoint, or a damaged one ({message.splitlines()[0][:120]}); copy it again"
    return (
        f"refused, because it asks for {name[1]} to be loaded; expected tensors, arrays and plain values, "
        "which cannot run code"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
