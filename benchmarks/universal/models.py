"""The models: names of published ones, files of other packages, and model files of equipot."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from equipot.convert.cache import cached
from equipot.model_file import read_metadata

# All that `pip install sevenn` ships, and the models of Nequix.
DEFAULT = (
    "sevenn:7net-0",
    "sevenn:7net-l3i5",
    "sevenn:7net-mf-0,PBE",
    "sevenn:7net-mf-0,R2SCAN",
    "nequix-mp-1",
    "nequix-omat-1",
    "nequix-oam-1-pft",
)


@dataclass(frozen=True)
class Model:
    """A model file, and what its network costs."""

    name: str
    path: Path
    dtype: str
    cutoff: float  # Å
    n_layers: int
    hidden: str  # irreps of the hidden features

    @classmethod
    def of(cls, source: str, dtype: Literal["float32", "float64"]) -> "Model":
        """Return the model of a name or a file, converted first if it is not a model file of equipot.

        A comma and a modality follow the name of a model with several levels of theory. Raises the errors of `convert`
        and `read_metadata`.
        """
        whole = Path(source).is_file()
        name, _, modality = (source, "", "") if whole else source.partition(",")
        path = Path(name) if Path(name).suffix == ".pt" else cached(name, modality or None, dtype)
        metadata = read_metadata(path)
        short = Path(name).stem if Path(name).is_file() else name.split(":")[-1]
        return cls(
            " ".join(filter(None, (short, modality))),
            path,
            metadata.dtype,
            metadata.cutoff,
            metadata.spec["n_layers"],
            metadata.spec["hidden_irreps"],
        )
