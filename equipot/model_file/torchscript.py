"""The calls to TorchScript, without its deprecation warnings.

torch has deprecated TorchScript, and each call warns. Model files use it because it is the only form in which torch
runs a network in C++ without Python and without a compiler. A user can do nothing about the warnings.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


@contextmanager
def _without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.", DeprecationWarning)
        yield


def script(module: torch.nn.Module) -> torch.jit.ScriptModule:
    """Return the module as TorchScript."""
    with _without_warnings():
        return torch.jit.script(module)


def save(module: torch.jit.ScriptModule, path: str | Path, extra_files: dict[str, str | bytes]) -> None:
    """Write a TorchScript module, and extra files in the same archive."""
    with _without_warnings():
        torch.jit.save(module, str(path), _extra_files=extra_files)


def load(path: str | Path, device: torch.device | None = None) -> torch.jit.ScriptModule:
    """Return a TorchScript module from a file; by default on the devices that it was saved from."""
    with _without_warnings():
        return torch.jit.load(str(path), map_location=device)
