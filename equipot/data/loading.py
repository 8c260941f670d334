"""Loading of the sets that the config names: read, check, split, and build graphs."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from equipot.config import DataConfig
from equipot.data.checks import Report, check_frames
from equipot.data.checks.labels import check_validation_labels
from equipot.data.graph import Graph, graph_from_frame
from equipot.data.split import FrameKey, frame_key, split
from equipot.data.statistics import Statistics, compute_statistics
from equipot.data.store import GraphStore
from equipot.errors import DataError
from equipot.neighbours import PairCutoffs
from equipot.species import SpeciesMap
from equipot.structures.frame import Frame, config_types
from equipot.structures.labels import LabelKeys
from equipot.structures.reading import expand, iter_frames, read_frames

# Bytes of files beyond which graphs are streamed from disk: 500 MB of text give about 10 GB of graphs with 50
# neighbours per atom.
STREAM_BEYOND = 500_000_000
SAMPLE = 5000  # largest number of frames in the sample that is checked


@dataclass
class DataSets:
    """The sets of a training with their statistics and the reports of the checks."""

    species: SpeciesMap
    train: Sequence[Graph]
    validation: Sequence[Graph]
    n_edges: list[int]  # number of edges of every training graph
    n_edges_validation: list[int]
    statistics: Statistics
    volume_per_atom: float | None  # Å³, mean over training frames with a volume
    validation_frames: list[Frame]  # empty for streamed sets with test frames
    test_frames: list[Frame]
    reports: dict[str, Report] = field(default_factory=dict)
    stress_offset: float = 0.0  # eV/Å³, that was added to the diagonal of all stress labels

    def summary(self) -> str:
        """Return one line with the numbers of frames and labels."""
        s = self.statistics
        return (
            f"{len(self.train)} training frames ({s.n_atoms} atoms; labels used: {s.n_energies} energies, "
            f"{s.n_forces} × forces, {s.n_stresses} × stress), {len(self.validation)} validation frames, "
            f"{len(self.test_frames)} test frames"
        )


def mean_volume_per_atom(graphs: Iterable[Graph]) -> float | None:
    """Return the mean volume per atom in Å³ of the graphs with a volume; None if there are none."""
    volumes = [g.volume / g.n_atoms for g in graphs if g.n_atoms and math.isfinite(g.volume)]
    return float(np.mean(volumes)) if volumes else None


def _n_edges(graphs: Sequence[Graph]) -> list[int]:
    return graphs.n_edges().tolist() if isinstance(graphs, GraphStore) else [g.n_edges for g in graphs]


class Loading:
    """Loading in two steps: `read` reads and checks the frames, and `build` makes the graphs."""

    reports: dict[str, Report]
    note = ""  # printed beside the reports

    def __init__(
        self, config: DataConfig, cutoff: float, pair_cutoffs: dict[str, float], scratch: Path
    ) -> None:
        self.config, self.cutoff, self.pair_cutoffs, self.scratch = config, cutoff, pair_cutoffs, scratch
        self.keys = LabelKeys.from_config(config)
        self.files = {"train": config.train, "validation": config.validation, "test": config.test}
        self.fractions = (
            0.0 if config.validation else config.validation_fraction,
            0.0 if config.test else config.test_fraction,
        )
        self.reports = {}
        self._measured_offset = 0.0  # by the check stress-offset

    def read(self) -> None:
        raise NotImplementedError

    def build(self) -> DataSets:
        """Return graphs and statistics of the frames.

        Raises:
            UnknownSpeciesError: validation or test frames hold elements that no training frame has.
            DataError: no training frame has an edge.
        """
        raise NotImplementedError

    def stress_offset(self) -> float:
        """Return the offset (eV/Å³) that `build` adds to the diagonal of the stress labels; after `read`."""
        given = self.config.stress_offset
        return self._measured_offset if given == "auto" else given

    def _with_offset(self, frame: Frame) -> Frame:
        offset = self.stress_offset()
        if offset == 0 or frame.stress is None:
            return frame
        return frame.relabelled(stress=frame.stress + offset * np.eye(3))

    def _check(self, name: str, frames: Sequence[Frame]) -> None:
        self.reports[name] = check_frames(frames, cutoff=self.cutoff, e0=self.config.e0)
        if name == "train":
            self._train = frames
            measured = [f.value for f in self.reports[name].findings if f.name == "stress-offset" and f.value]
            self._measured_offset = round(measured[0], 6) if measured else 0.0
        elif name == "validation":
            self.reports[name].findings.extend(check_validation_labels(self._train, frames))

    def _sets(
        self,
        species: SpeciesMap,
        train: Sequence[Graph],
        validation: Sequence[Graph],
        validation_frames: list[Frame],
        test_frames: list[Frame],
    ) -> DataSets:
        if not any(_n_edges(train)):
            raise DataError(
                f"no training frame has two atoms within {self.cutoff:g} Å, so there are no neighbours; "
                "check the unit of the positions (Å) or increase model.cutoff"
            )
        return DataSets(
            species=species,
            train=train,
            validation=validation,
            n_edges=_n_edges(train),
            n_edges_validation=_n_edges(validation),
            statistics=compute_statistics(train, species, self.config.e0),
            volume_per_atom=mean_volume_per_atom(train),
            validation_frames=validation_frames,
            test_frames=test_frames,
            reports=self.reports,
            stress_offset=self.stress_offset(),
        )

    def _cutoffs(self, species: SpeciesMap) -> PairCutoffs:
        return PairCutoffs.from_config(species.names, self.cutoff, self.pair_cutoffs)

    def _species(self, numbers: Iterable[np.ndarray]) -> SpeciesMap:
        return SpeciesMap(self.config.species) if self.config.species else SpeciesMap.of_numbers(numbers)


class InMemory(Loading):
    """Loading of sets that fit into memory: frames and graphs are lists."""

    def read(self) -> None:
        frames = {name: read_frames(files, self.keys) for name, files in self.files.items() if files}
        for name, frames_of_set in frames.items():
            self._check(name, frames_of_set)
        pool = frames["train"]
        parts = split(pool, self.fractions, self.config.split_seed)
        self.sets = {"train": [pool[i] for i in parts[0]]}
        self.sets["validation"] = frames.get("validation", [pool[i] for i in parts[1]])
        self.sets["test"] = frames.get("test", [pool[i] for i in parts[2]])
        self.sets = {name: list(map(self._with_offset, frames)) for name, frames in self.sets.items()}
        if not self.sets["train"]:
            raise DataError("no frame is left to train on; give more frames or smaller fractions")

    def build(self) -> DataSets:
        species = self._species(f.numbers for f in self.sets["train"])
        cutoffs = self._cutoffs(species)
        for name in ("validation", "test"):
            for frame in self.sets[name]:
                species.index(frame.numbers, frame.source)
        groups = config_types([*self.sets["train"], *self.sets["validation"]])
        train, validation = (
            [graph_from_frame(f, species, cutoffs, groups) for f in self.sets[name]]
            for name in ("train", "validation")
        )
        return self._sets(species, train, validation, self.sets["validation"], self.sets["test"])


class Streamed(Loading):
    """Loading of large sets. Frames are read twice, one at a time: for the split and a sample, and for the graphs."""

    def read(self) -> None:
        self.frame_keys: dict[str, list[FrameKey]] = {}
        self.numbers: set[int] = set()
        for name, files in self.files.items():
            if not files:
                continue
            sample: list[Frame] = []
            keys: list[FrameKey] = []
            stride = 1
            for i, frame in enumerate(iter_frames(files, self.keys)):
                keys.append(frame_key(frame))
                if name == "train":
                    self.numbers.update(np.unique(frame.numbers).tolist())
                if i % stride == 0:
                    sample.append(frame)
                    if (
                        len(sample) > SAMPLE
                    ):  # drop every second frame: the sample still covers the set evenly
                        sample, stride = sample[::2], 2 * stride
            self.frame_keys[name] = keys
            self._check(name, sample)
            self.note += (
                f"{name}: {len(keys)} frames are streamed from disk; {len(sample)} of them were checked. "
            )
        self.parts = split(self.frame_keys["train"], self.fractions, self.config.split_seed)
        if not self.parts[0]:
            raise DataError("no frame is left to train on; give more frames or smaller fractions")

    def _frames(self, name: str) -> Iterator[Frame]:
        """Yield the frames of a set after the split, in the order of the files."""
        files = self.files[name]
        if files and name != "train":
            yield from map(self._with_offset, iter_frames(files, self.keys))
            return
        part = set(self.parts[("train", "validation", "test").index(name)])
        if part:
            pool = iter_frames(self.config.train, self.keys)
            yield from (self._with_offset(frame) for i, frame in enumerate(pool) if i in part)

    def build(self) -> DataSets:
        species = self._species([np.array(sorted(self.numbers))])
        cutoffs = self._cutoffs(species)
        groups = sorted({key.config_type for keys in self.frame_keys.values() for key in keys})
        settings = [self.config.model_dump(mode="json"), self.stress_offset(), self._stamps()]
        source = json.dumps(settings, sort_keys=True)
        train, validation = (
            GraphStore.open_or_build(
                self.scratch / name,
                self._frames(name),
                species,
                cutoffs,
                groups,
                source,
            )
            for name in ("train", "validation")
        )
        test = list(self._frames("test"))
        for frame in test:
            species.index(frame.numbers, frame.source)
        return self._sets(species, train, validation, [] if test else list(self._frames("validation")), test)

    def _stamps(self) -> list[tuple[str, int, int]]:
        """Return size and time of every file, so that a store of older files is not used."""
        paths = [path for files in self.files.values() for path in (expand(files) if files else [])]
        return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def load_sets(config: DataConfig, cutoff: float, pair_cutoffs: dict[str, float], scratch: Path) -> Loading:
    """Read, check and split the sets. `Loading.build` then makes the graphs.

    Large sets (`data.stream`, or more than STREAM_BEYOND bytes of files) are streamed: their graphs are written to a
    store below `scratch`, and only an even sample of SAMPLE frames is checked.

    Args:
        config: the section `data` of the config.
        cutoff: Å.
        pair_cutoffs: shorter cutoffs (Å) of pairs of elements.
        scratch: folder for graph stores.

    Raises:
        DataError: files cannot be read, or no frame is left to train on.
    """
    stream = config.stream
    if stream is None:
        patterns = [*config.train, *(config.validation or [])]
        stream = sum(path.stat().st_size for path in expand(patterns)) > STREAM_BEYOND
    loading = (Streamed if stream else InMemory)(config, cutoff, pair_cutoffs, scratch)
    loading.read()
    return loading
