"""Reading foreign checkpoints, which are pickles, without running what they ask to be run."""

import importlib
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from equipot.errors import ModelFileError

# Beside torch's own list of harmless names: how numpy's arrays and numbers are rebuilt.
_MULTIARRAY: Any = importlib.import_module("numpy._core.multiarray")
_SAFE: list[Any] = [
    (_MULTIARRAY._reconstruct, "numpy.core.multiarray._reconstruct"),
    (_MULTIARRAY.scalar, "numpy.core.multiarray.scalar"),
    _MULTIARRAY._reconstruct,
    _MULTIARRAY.scalar,
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in "?bhilqBHILQefd"),
]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors, arrays and plain values, on the CPU.

    Raises ModelFileError when it is none, is damaged, or names anything else: the name is said, and not called.
    """
    try:
        with torch.serialization.safe_globals(_SAFE):
            found = torch.load(path, map_location="cpu", weights_only=True)
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
