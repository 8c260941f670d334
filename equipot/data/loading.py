"""From the data section of a config to checked, split and graphed sets."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from equipot.config import DataConfig
from equipot.data.checks import Report, check_frames
from equipot.data.frame import Frame, config_types
from equipot.data.graph import Graph, graph_from_frame
from equipot.data.labels import LabelKeys
from equipot.data.reading import read_frames
from equipot.data.species import SpeciesMap
from equipot.data.split import split
from equipot.data.statistics import Statistics, compute_statistics
from equipot.errors import DataError


@dataclass
class DataSets:
    """Everything a training needs to know about its data."""

    species: SpeciesMap
    train: Sequence[Graph]
    validation: Sequence[Graph]
    n_edges: list[int]  # of every training graph
    n_edges_validation: list[int]
    statistics: Statistics
    volume_per_atom: float | None  # Å³, mean over training frames with a volume
    validation_frames: list[Frame]
    test_frames: list[Frame]
    reports: dict[str, Report] = field(default_factory=dict)

    def summary(self) -> str:
        """One line: how many frames, and what of them is used."""
        s = self.statistics
        return (
            f"{len(self.train)} training frames ({s.n_atoms} atoms; labels used: {s.n_energies} energies, "
            f"{s.n_forces} × forces, {s.n_stresses} × stress), {len(self.validation)} validation frames, "
            f"{len(self.test_frames)} test frames"
        )


def read_sets(
    config: DataConfig, cutoff: float, e0: dict[str, float] | None = None
) -> tuple[dict, dict[str, Report]]:
    """Frames of the three sets after the split, and the report of the checks on every group of files.

    Returns ({"train": frames, "validation": …, "test": …}, {"train": report, …}); raises DataError when files
    cannot be read. Errors found by the checks are in the reports: call `Report.raise_on_errors`.
    """
    keys = LabelKeys.from_config(config)
    given = {"train": config.train, "validation": config.validation, "test": config.test}
    frames = {name: read_frames(files, keys) for name, files in given.items() if files}
    reports = {name: check_frames(some, cutoff=cutoff, e0=e0) for name, some in frames.items()}
    fractions = (
        0.0 if "validation" in frames else config.validation_fraction,
        0.0 if "test" in frames else config.test_fraction,
    )
    parts = split(frames["train"], fractions, config.split_seed)
    pool = frames["train"]
    sets = {
        "train": [pool[i] for i in parts[0]],
        "validation": frames.get("validation", [pool[i] for i in parts[1]]),
        "test": frames.get("test", [pool[i] for i in parts[2]]),
    }
    if not sets["train"]:
        raise DataError("no frame is left to train on; give more frames or smaller fractions")
    return sets, reports


def build_sets(
    sets: dict[str, list[Frame]],
    reports: dict[str, Report],
    config: DataConfig,
    cutoff: float,
    pair_cutoffs: dict[str, float],
) -> DataSets:
    """Graphs and statistics of frames that passed the checks.

    Raises UnknownSpeciesError when validation or test frames hold elements that no training frame has.
    """
    if config.species is not None:
        species = SpeciesMap(config.species)
    else:
        species = SpeciesMap.of_numbers(f.numbers for f in sets["train"])
    for name in ("validation", "test"):
        for frame in sets[name]:
            species.index(frame.numbers, frame.source)
    groups = config_types([*sets["train"], *sets["validation"]])
    graphs = {
        name: [graph_from_frame(f, species, cutoff, pair_cutoffs, groups) for f in sets[name]]
        for name in ("train", "validation")
    }
    volumes = [f.volume / len(f) for f in sets["train"] if len(f) and np.isfinite(f.volume)]
    return DataSets(
        species=species,
        train=graphs["train"],
        validation=graphs["validation"],
        n_edges=[g.n_edges for g in graphs["train"]],
        n_edges_validation=[g.n_edges for g in graphs["validation"]],
        statistics=compute_statistics(graphs["train"], species, config.e0),
        volume_per_atom=float(np.mean(volumes)) if volumes else None,
        validation_frames=sets["validation"],
        test_frames=sets["test"],
        reports=reports,
    )
