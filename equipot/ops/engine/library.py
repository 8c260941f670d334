"""The library of compiled kernels: its search, its loading, and its properties.

An installation has the library beside the operators. The environment variable EQUIPOT_ENGINE switches it off (`off`) or
names another build of it.
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

# A forked child has a single thread. With more, the OpenMP pools of torch and of the kernels would wait for ever for
# threads that exist only in its parent.
os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))

_VERSION = 3  # EQUIPOT_ENGINE_VERSION in engine.h


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """Return the library; None if it is switched off, or was not built (with one warning)."""
    setting = os.environ.get("EQUIPOT_ENGINE", "")
    if setting == "off":
        return None
    if setting:
        file = Path(setting)
    else:
        spec = importlib.util.find_spec("equipot.ops._engine")
        if spec is None or spec.origin is None:
            warnings.warn(
                "equipot was installed without its compiled kernels, so everything works, but slowly; "
                "install a C++ compiler (g++ 11 or newer) and equipot again",
                stacklevel=2,
            )
            return None
        file = Path(spec.origin)
    try:
        kernels = ctypes.CDLL(str(file))
        version = int(kernels.equipot_engine_version())
    except (OSError, AttributeError) as error:
        raise EquipotError(f"{file}: the compiled kernels cannot be loaded: {error}") from None
    if version != _VERSION:
        raise EquipotError(
            f"{file}: kernels of version {version}, expected {_VERSION}; install equipot again"
        )
    kernels.equipot_isa.restype = ctypes.c_char_p
    kernels.equipot_peak_gfma.restype = ctypes.c_double
    kernels.equipot_peak_gfma.argtypes = [ctypes.c_int64, ctypes.c_int64]
    return kernels


def available() -> bool:
    """Return whether the compiled kernels are loaded."""
    return library() is not None


def isa() -> str:
    """Return the instructions in use: avx512, avx2, portable, or none without the library."""
    kernels = library()
    return "none" if kernels is None else kernels.equipot_isa().decode()


def peak_gfma(dtype: torch.dtype, threads: int) -> float:
    """Measure 1e9 fused multiply-adds per second with these threads; raise EquipotError without the library."""
    return float(_loaded().equipot_peak_gfma(dtype.itemsize, threads))


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Make the process keep the memory that it frees, for the next step of the same size.

    Otherwise the system would clear and map the pages again in each step, which doubles the time of a step of a large
    system. This changes a setting of glibc's malloc; EQUIPOT_KEEP_MEMORY=off prevents it.
    """
    if available() and os.environ.get("EQUIPOT_KEEP_MEMORY") != "off":
        _loaded().equipot_keep_memory()


@lru_cache
def function(name: str, arguments: Sequence[Any], result: Any = ctypes.c_int) -> Any:
    """Return a function of engine.h. Its last two arguments receive an error message; `arguments` are the others."""
    kernel = getattr(_loaded(), f"equipot_{name}")
    kernel.argtypes = [*arguments, ctypes.c_char_p, ctypes.c_size_t]
    kernel.restype = result
    return kernel


@lru_cache
def function_of(name: str, arguments: Sequence[Any], result: Any) -> Any:
    """Return a function of the library by its whole name."""
    symbol = getattr(_loaded(), name)
    symbol.argtypes, symbol.restype = list(arguments), result
    return symbol


def call(what: str, function: Any, *arguments: Any) -> int:
    """Call a result of `function`; raise ValueError with its message when it returns a negative number."""
    message = ctypes.create_string_buffer(256)
    result = int(function(*arguments, message, 256))
    if result < 0:
        raise ValueError(f"{what}: {message.value.decode()}")
    return result


class Sized(ctypes.Structure):
    """A structure of the C headers. Its first field is its size in bytes, which the library checks."""

    _fields_: ClassVar[Sequence[tuple[str, Any]]] = (("size", ctypes.c_int64),)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(ctypes.sizeof(self), *arguments, **named)


def expect(good: bool, sentence: str) -> None:
    if not good:
        raise ValueError(sentence)


def expect_one_device(tensors: Sequence[Tensor], device: str = "") -> None:
    """Raise ValueError for tensors on several devices: an address on another device would end the process."""
    devices = sorted({str(t.device) for t in tensors})
    sentence = f"the tensors are on {', '.join(devices)}; expected all on {device or 'one device'}"
    expect(len(devices) == 1 and (not device or devices[0] == device), sentence)


def _loaded() -> ctypes.CDLL:
    kernels = library()
    if kernels is None:
        raise EquipotError("the compiled kernels are switched off or not installed")
    return kernels
