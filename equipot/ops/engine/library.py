"""Finding and loading the compiled kernels, and what they say about themselves.

The library lies beside the operators after installation. The environment variable EQUIPOT_ENGINE switches it off
(`off`) or names another build of it.
"""

import ctypes
import importlib.util
import os
import warnings
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from equipot.errors import EquipotError

# A forked child has one thread alone, while the OpenMP pools of torch and of the kernels would wait for those of its
# parent for ever.
os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))

_VERSION = 3  # EQUIPOT_ENGINE_VERSION in engine.h


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The library; None where it is switched off or was not built (then with one warning)."""
    wish = os.environ.get("EQUIPOT_ENGINE", "")
    if wish == "off":
        return None
    if wish:
        file = Path(wish)
    else:
        spec = importlib.util.find_spec("equipot.ops._engine")
        if spec is None or spec.origin is None:
            warnings.warn(
                "equipot was installed without its compiled kernels, so everything works but slowly; "
                "install a C++ compiler (g++ 11 or newer) and equipot again",
                stacklevel=2,
            )
            return None
        file = Path(spec.origin)
    try:
        found = ctypes.CDLL(str(file))
        version = int(found.equipot_engine_version())
    except (OSError, AttributeError) as error:
        raise EquipotError(f"{file}: the compiled kernels cannot be loaded: {error}") from None
    if version != _VERSION:
        raise EquipotError(
            f"{file}: kernels of version {version}, expected {_VERSION}; install equipot again"
        )
    found.equipot_isa.restype = ctypes.c_char_p
    found.equipot_peak_gfma.restype = ctypes.c_double
    found.equipot_peak_gfma.argtypes = [ctypes.c_int64, ctypes.c_int64]
    return found


def available() -> bool:
    """Whether the compiled kernels serve."""
    return library() is not None


def isa() -> str:
    """The instructions in use: avx512, avx2, portable, or none without the library."""
    found = library()
    return "none" if found is None else found.equipot_isa().decode()


def peak_gfma(dtype: torch.dtype, threads: int) -> float:
    """Measured fused multiply-adds per second, in 1e9, of so many threads; EquipotError without the library."""
    return float(_loaded().equipot_peak_gfma(dtype.itemsize, threads))


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Let the process keep the memory it frees, for the next step of the same size.

    Given back after every step, its pages would be cleared and mapped anew each time, which doubles the time of
    a step of a large system. A setting of glibc's malloc; EQUIPOT_KEEP_MEMORY=off leaves it alone.
    """
    if available() and os.environ.get("EQUIPOT_KEEP_MEMORY") != "off":
        _loaded().equipot_keep_memory()


@lru_cache
def function(name: str, arguments: Sequence[Any], result: Any = ctypes.c_int) -> Any:
    """A function of engine.h whose last two arguments take an error message; `arguments` are those before them."""
    found = getattr(_loaded(), f"equipot_{name}")
    found.argtypes = [*arguments, ctypes.c_char_p, ctypes.c_size_t]
    found.restype = result
    return found


def call(what: str, function: Any, *arguments: Any) -> int:
    """Call one of these; ValueError with its message when it returns a negative number."""
    message = ctypes.create_string_buffer(256)
    result = int(function(*arguments, message, 256))
    if result < 0:
        raise ValueError(f"{what}: {message.value.decode()}")
    return result


class Sized(ctypes.Structure):
    """A structure of the C headers: its first field says how large it is here, and the library checks it."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = (("size", ctypes.c_int64),)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(ctypes.sizeof(self), *arguments, **named)


def expect(good: bool, sentence: str) -> None:
    if not good:
        raise ValueError(sentence)


def expect_one_device(tensors: Sequence[Tensor], device: str = "") -> None:
    """The kernels get addresses: one of another device's memory would end the process."""
    found = sorted({str(t.device) for t in tensors})
    sentence = f"the tensors lie on {', '.join(found)}; expected all on {device or 'one device'}"
    expect(len(found) == 1 and (not device or found[0] == device), sentence)


def _loaded() -> ctypes.CDLL:
    found = library()
    if found is None:
        raise EquipotError("the compiled kernels are switched off or not installed")
    return found
