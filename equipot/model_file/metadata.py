"""The metadata of a model file: JSON beside the network."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from equipot.errors import ModelFileError
from equipot.neighbours.pair_cutoffs import PairCutoffs

FORMAT = "equipot model"
# Records of a model file beside its TorchScript.
METADATA, PROGRAM, ARRAYS = "metadata.json", "program.json", "program.bin"
# When the layout changes: raise this number, add a function to UPGRADES, keep an old file in tests/model_file.
# 2: `forward` takes species, edge_index and edge_vectors and gives atomic energies.
# 3: `forward` takes `Inputs` and gives `Outputs`; so does `readout` with its tensors.
FORMAT_VERSION = 3
OLDEST_VERSION = 2
# version -> function from the metadata of this version to the metadata of the next
UPGRADES: dict[int, Any] = {2: lambda values: values}

UNITS = {
    "energy": "eV",
    "length": "angstrom",
    "mass": "amu",
    "stress": "eV/angstrom^3",
    "stress_sign": "tension > 0",
}


@dataclass(frozen=True)
class ModelMetadata:
    """The metadata in plain values: `spec` is a `PotentialSpec`, `statistics` a `data.statistics.Statistics`."""

    spec: dict[str, Any]
    self_test: list[dict[str, Any]]
    equipot_version: str
    torch_version: str
    created: str  # ISO 8601, UTC
    statistics: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    training: dict[str, Any] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=lambda: dict(UNITS))
    format: str = FORMAT
    format_version: int = FORMAT_VERSION

    @property
    def type_names(self) -> list[str]:
        return list(self.spec["type_names"])

    @property
    def cutoff(self) -> float:
        return float(self.spec["cutoff"])

    @property
    def cutoffs(self) -> PairCutoffs:
        """The cutoff of each pair of elements."""
        return PairCutoffs.from_matrix(self.type_names, self.cutoff, self.spec["pair_cutoffs"])

    @property
    def dtype(self) -> str:
        return str(self.spec["dtype"])

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> "ModelMetadata":
        """Return metadata from JSON; raise ModelFileError if it is not equipot's or has a newer format."""
        try:
            values = json.loads(text)
        except (ValueError, UnicodeDecodeError):
            values = None
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise ModelFileError(
                f"{where}: not an equipot model file; expected one written by `equipot export`"
            )
        version = values.get("format_version")
        if not isinstance(version, int) or version < OLDEST_VERSION:
            raise ModelFileError(
                f"{where}: its format version is {version!r}; expected {OLDEST_VERSION} to {FORMAT_VERSION}"
            )
        if version > FORMAT_VERSION:
            raise ModelFileError(
                f"{where}: written in model format {version}, this equipot reads up to {FORMAT_VERSION}; "
                "install a newer equipot"
            )
        for v in range(version, FORMAT_VERSION):
            values = UPGRADES[v](values)
        known = {f.name for f in fields(cls)}
        wrong = sorted(known ^ set(values))
        if wrong:
            raise ModelFileError(f"{where}: its metadata has missing or unknown keys: {', '.join(wrong)}")
        return cls(**values)
