"""A store of graphs on disk, for sets that do not fit into memory.

A store is a folder of plain arrays. Each field has one binary file with the values of all graphs, one after the other,
and `index.npy` holds the start of each graph. To read a store, its files are mapped into memory. A store contains no
code. It is written into a temporary folder next to its final place and renamed when it is complete, so a folder with
the final name is always complete.
"""

import contextlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from equipot.data.graph import Graph, graph_from_frame
from equipot.errors import DataError
from equipot.neighbours import PairCutoffs
from equipot.quantities import LABELS, Quantity
from equipot.species import SpeciesMap
from equipot.structures.frame import Frame

_VERSION = 3
# Fields of atoms, edges and graphs: name, type, numbers per row.
_ATOM_FIELDS = {
    "species": ("<i4", 1),
    "positions": ("<f8", 3),
    **{q.name: ("<f8", math.prod(q.shape)) for q in LABELS if q.per == "atom"},
}
_EDGE_FIELDS = {"neighbours": ("<i4", 2), "edge_vectors": ("<f8", 3)}
_GRAPH = np.dtype(
    [
        ("first_atom", "<i8"),
        ("n_atoms", "<i8"),
        ("first_edge", "<i8"),
        ("n_edges", "<i8"),
        ("cell", "<f8", (3, 3)),
        ("pbc", "?", (3,)),
        *((q.name, "<f8", q.shape) for q in LABELS if q.per == "structure"),
        *((f"has_{q.name}", "?") for q in LABELS),
        ("config_type", "<i4"),
    ]
)


class GraphStore(Sequence[Graph]):
    """A sequence of graphs in a folder that `build` has written.

    Args:
        path: the folder.

    Raises:
        DataError: the folder is not a store, is damaged, or has another version.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.key, totals = _read_header(self.path)
        try:
            self._graphs = np.load(self.path / "index.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.path}: the store's index cannot be read ({error}); delete the folder"
            ) from None
        if self._graphs.dtype != _GRAPH or len(self._graphs) != totals["graphs"]:
            raise DataError(
                f"{self.path}: the store's index is damaged; delete the folder, and it will be built again"
            )
        self._arrays: dict[str, np.ndarray] = {}
        for fields, total in ((_ATOM_FIELDS, totals["atoms"]), (_EDGE_FIELDS, totals["edges"])):
            for name, (kind, width) in fields.items():
                self._arrays[name] = _mapped(self.path / f"{name}.bin", kind, (total, width))

    @classmethod
    def build(
        cls,
        path: str | Path,
        frames: Iterable[Frame],
        species: SpeciesMap,
        cutoffs: PairCutoffs,
        groups: Sequence[str] | None = None,
        source: str = "",
    ) -> "GraphStore":
        """Write the graphs of frames and return the store. Memory holds one frame at a time.

        If there is an error, the partial store is removed.

        Args:
            path: folder of the store. An existing store is replaced when the new one is complete.
            frames: the frames.
            species, cutoffs, groups: as in `graph_from_frame`.
            source: a text that identifies the frames. `open_or_build` compares it.

        Raises:
            DataError: the disk is full or cannot be written. Errors of `graph_from_frame` are also raised.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        try:
            key = store_key(species, cutoffs, groups, source)
            _write(partial, (graph_from_frame(f, species, cutoffs, groups) for f in frames), key)
            _replace(partial, path)
        except OSError as error:
            raise DataError(
                f"{path}: the graph store cannot be written ({error.strerror or error}); free some disk space, or set "
                "data.stream to false to keep the graphs in memory"
            ) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return cls(path)

    @classmethod
    def open_or_build(
        cls,
        path: str | Path,
        frames: Iterable[Frame],
        species: SpeciesMap,
        cutoffs: PairCutoffs,
        groups: Sequence[str] | None = None,
        source: str = "",
    ) -> "GraphStore":
        """Return the store at `path` if it is complete and was built with these arguments; else build a new one.

        `frames` is read only for a new store. If there are several processes, one of them must call this first.
        """
        with contextlib.suppress(DataError):
            store = cls(path)
            if store.key == store_key(species, cutoffs, groups, source):
                return store
        return cls.build(path, frames, species, cutoffs, groups, source)

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker process maps the files itself. Pickled arrays would be copies of the whole set.
        return GraphStore, (self.path,)

    def __len__(self) -> int:
        return len(self._graphs)

    @overload
    def __getitem__(self, i: int) -> Graph: ...
    @overload
    def __getitem__(self, i: slice) -> list[Graph]: ...
    def __getitem__(self, i: int | slice) -> Graph | list[Graph]:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        row = self._graphs[i]
        atoms = slice(int(row["first_atom"]), int(row["first_atom"] + row["n_atoms"]))
        edges = slice(int(row["first_edge"]), int(row["first_edge"] + row["n_edges"]))
        neighbours = self._arrays["neighbours"][edges]
        return Graph(
            species=torch.from_numpy(self._arrays["species"][atoms, 0].astype(np.int64)),
            edge_index=torch.from_numpy(np.array(neighbours.T, order="C")),
            edge_vectors=torch.from_numpy(np.array(self._arrays["edge_vectors"][edges])),
            positions=torch.from_numpy(np.array(self._arrays["positions"][atoms])),
            cell=torch.from_numpy(np.array(row["cell"])),
            pbc=torch.from_numpy(np.array(row["pbc"])),
            labels={q.name: self._label(q, row, atoms) for q in LABELS if row[f"has_{q.name}"]},
            config_type=int(row["config_type"]),
        )

    def _label(self, quantity: Quantity, row: np.void, atoms: slice) -> torch.Tensor:
        per_atom = quantity.per == "atom"
        values = self._arrays[quantity.name][atoms] if per_atom else row[quantity.name]
        shape = quantity.shape_of(int(row["n_atoms"]))
        return torch.from_numpy(np.array(values, dtype=np.float64)).reshape(shape)

    def __iter__(self) -> Iterator[Graph]:
        return (self[i] for i in range(len(self)))

    def n_edges(self) -> np.ndarray:
        """Return the number of edges of every graph, (n_graphs,) int64, for the packing of batches."""
        return np.array(self._graphs["n_edges"])


def store_key(
    species: SpeciesMap,
    cutoffs: PairCutoffs,
    groups: Sequence[str] | None = None,
    source: str = "",
) -> dict[str, Any]:
    """Return the arguments that a store depends on, as plain JSON values."""
    return {
        "species": list(species.names),
        "cutoff": cutoffs.cutoff,
        "pair_cutoffs": dict(sorted(cutoffs.shorter().items())),
        "groups": list(groups or []),
        "source": source,
    }


def _write(folder: Path, graphs: Iterable[Graph], key: dict[str, Any]) -> None:
    rows: list[np.ndarray] = []
    n_atoms = n_edges = 0
    with contextlib.ExitStack() as stack:
        files = {
            n: stack.enter_context(open(folder / f"{n}.bin", "wb")) for n in (*_ATOM_FIELDS, *_EDGE_FIELDS)
        }
        for graph in graphs:
            files["species"].write(graph.species.numpy().astype("<i4").tobytes())
            files["positions"].write(graph.positions.numpy().astype("<f8").tobytes())
            files["neighbours"].write(graph.edge_index.numpy().T.astype("<i4").tobytes())
            files["edge_vectors"].write(graph.edge_vectors.numpy().astype("<f8").tobytes())
            row = np.zeros((), dtype=_GRAPH)
            row["first_atom"], row["n_atoms"] = n_atoms, graph.n_atoms
            row["first_edge"], row["n_edges"] = n_edges, graph.n_edges
            row["cell"], row["pbc"], row["config_type"] = graph.cell, graph.pbc, graph.config_type
            for q in LABELS:
                label = graph.labels.get(q.name)
                row[f"has_{q.name}"] = label is not None
                if q.per == "atom":
                    values = np.zeros(q.shape_of(graph.n_atoms)) if label is None else label.numpy()
                    files[q.name].write(values.astype("<f8").tobytes())
                elif label is not None:
                    row[q.name] = label.numpy()
            rows.append(row)
            n_atoms += graph.n_atoms
            n_edges += graph.n_edges
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    np.save(folder / "index.npy", np.array(rows, dtype=_GRAPH), allow_pickle=False)
    header = {"equipot_graph_store": _VERSION, "key": key}
    header["totals"] = {"graphs": len(rows), "atoms": n_atoms, "edges": n_edges}
    (folder / "store.json").write_text(json.dumps(header, indent=1))


def _replace(partial: Path, path: Path) -> None:
    """Rename `partial` to `path`. Remove an existing folder at `path` first, but only if it is a store."""
    if path.exists():
        known = {"store.json", "index.npy"} | {f"{n}.bin" for n in (*_ATOM_FIELDS, *_EDGE_FIELDS)}
        if not path.is_dir() or any(child.name not in known for child in path.iterdir()):
            raise DataError(f"{path}: exists and is not a graph store; choose another folder")
        shutil.rmtree(path)
    partial.rename(path)


def _read_header(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        header = json.loads((path / "store.json").read_text())
        version, key, totals = header["equipot_graph_store"], header["key"], header["totals"]
        totals = {name: int(totals[name]) for name in ("graphs", "atoms", "edges")}
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{path}: not a complete graph store; it must be built again") from None
    if version != _VERSION:
        raise DataError(
            f"{path}: a graph store of version {version}; expected version {_VERSION}: build it again"
        )
    return key, totals


def _mapped(path: Path, kind: str, shape: tuple[int, int]) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    actual_size = path.stat().st_size if path.is_file() else -1
    if actual_size != size:
        raise DataError(
            f"{path}: {actual_size} bytes, expected {size}; the store is damaged, delete its folder"
        )
    if size == 0:  # an empty file cannot be mapped
        return np.zeros(shape, dtype=kind)
    return np.memmap(path, dtype=kind, mode="r", shape=shape)
