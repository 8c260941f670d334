"""The library of compiled kernels and of the runtime: its search, its loading, and its properties.

An installation has the library in this folder. The environment variable EQUIPOT_ENGINE switches it off (`off`) or names
another build of it. Nothing here imports torch, which takes seconds.
"""

import ctypes
import importlib.util
import os
import sys
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from equipot.errors import EquipotError

_VERSION = 5  # EQUIPOT_ENGINE_VERSION in engine.h


def _one_thread() -> None:
    """Use one thread in a forked child.

    It has a single thread. With more, the OpenMP pools of torch and of the kernels would wait for ever for threads that
    exist only in its parent.
    """
    global _forked
    _forked = True
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


_forked = False
os.register_at_fork(after_in_child=_one_thread)


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """Return the library; None if it is switched off, or was not built (with one warning)."""
    setting = os.environ.get("EQUIPOT_ENGINE", "")
    if setting == "off":
        return None
    file = Path(setting) if setting else library_file()
    if file is None:
        warnings.warn(
            "equipot was installed without its compiled kernels, so everything works, but slowly; "
            "install a C++ compiler (g++ 11 or newer) and equipot again",
            stacklevel=2,
        )
        return None
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


def library_file() -> Path | None:
    """Return the path of the installed library; None if equipot was installed without it."""
    spec = importlib.util.find_spec("equipot.native._engine")
    return None if spec is None or spec.origin is None else Path(spec.origin)


def available() -> bool:
    """Return whether the compiled kernels are loaded."""
    return library() is not None


def threads() -> int:
    """Return torch's number of threads, or OpenMP's, which is torch's default, as long as torch is not imported."""
    if "torch" in sys.modules:
        return int(sys.modules["torch"].get_num_threads())
    return 1 if _forked else int(_loaded().equipot_max_threads())


def isa() -> str:
    """Return the instructions in use: avx512, avx2, portable, or none without the library."""
    kernels = library()
    return "none" if kernels is None else kernels.equipot_isa().decode()


def peak_gfma(itemsize: int, threads: int) -> float:
    """Measure 1e9 fused multiply-adds per second of 4- or 8-byte numbers; raise EquipotError without the library."""
    return float(_loaded().equipot_peak_gfma(itemsize, threads))


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


def _loaded() -> ctypes.CDLL:
    kernels = library()
    if kernels is None:
        raise EquipotError("the compiled kernels are switched off or not installed")
    return kernels
