"""Model files: a TorchScript archive with metadata, a program for the runtime, and a self-test."""

from typing import TYPE_CHECKING, Any

from equipot.model_file.archive import read_metadata
from equipot.model_file.loaded import LoadedModel, load_model
from equipot.model_file.metadata import FORMAT_VERSION, ModelMetadata

if TYPE_CHECKING:
    from equipot.model_file.script import load_potential
    from equipot.model_file.write import write_model

__all__ = [
    "FORMAT_VERSION",
    "LoadedModel",
    "ModelMetadata",
    "load_model",
    "load_potential",
    "read_metadata",
    "write_model",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first used."""
    if name == "load_potential":
        from equipot.model_file.script import load_potential

        return load_potential
    if name == "write_model":
        from equipot.model_file.write import write_model

        return write_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
