"""The model file: one TorchScript archive with metadata and a self-test, for Python, ASE and LAMMPS."""

from equipot.export.metadata import FORMAT_VERSION, ModelMetadata
from equipot.export.read import LoadedModel, load_model, load_potential
from equipot.export.write import write_model

__all__ = ["FORMAT_VERSION", "LoadedModel", "ModelMetadata", "load_model", "load_potential", "write_model"]
