"""Model files: a TorchScript archive with metadata and a self-test, for Python, ASE and LAMMPS."""

from equipot.model_file.metadata import FORMAT_VERSION, ModelMetadata
from equipot.model_file.read import LoadedModel, load_model, load_potential
from equipot.model_file.write import write_model

__all__ = ["FORMAT_VERSION", "LoadedModel", "ModelMetadata", "load_model", "load_potential", "write_model"]
