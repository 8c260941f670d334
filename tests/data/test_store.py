import errno
import json
import pickle
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch
from ase import Atoms

from equipot.data import store as store_module
from equipot.data.graph import collate, graph_from_frame
from equipot.data.statistics import compute_statistics
from equipot.data.store import GraphStore
from equipot.errors import DataError, UnknownSpeciesError
from equipot.neighbours import PairCutoffs
from equipot.species import SpeciesMap
from equipot.structures import frame_from_atoms

CU = SpeciesMap(["Cu"])
CUTOFFS, LONGER = (PairCutoffs.from_config(CU.names, cutoff) for cutoff in (4.0, 4.5))


@pytest.fixture
def frames(trajectory):
    nothing = frame_from_atoms(Atoms()).relabelled(energy=0.0)
    lone = frame_from_atoms(Atoms("Cu", positions=[[1, 2, 3]]))
    return [*trajectory[:4], nothing, lone, trajectory[5].relabelled(stress=None, forces=None)]


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, tuple):
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif is_dataclass(a):
        for f in fields(a):
            assert_same(getattr(a, f.name), getattr(b, f.name))
    else:
        assert a == b


def test_graphs_come_back_bit_for_bit(tmp_path, frames):
    groups = ["default", "md"]
    store = GraphStore.build(tmp_path / "s", iter(frames), CU, CUTOFFS, groups=groups)
    graphs = [graph_from_frame(f, CU, CUTOFFS, groups=groups) for f in frames]
    assert len(store) == len(graphs)
    for a, b in zip(store, graphs):
        assert_same(a, b)
    assert_same(store[-1], graphs[-1])
    assert_same(collate(store[1:3]), collate(graphs[1:3]))
    assert store.n_edges().tolist() == [g.n_edges for g in graphs]
    assert compute_statistics(store, CU) == compute_statistics(graphs, CU)
    assert len(pickle.dumps(store)) < 500, "a worker must map the files, not receive a copy of them"
    assert_same(pickle.loads(pickle.dumps(store))[0], graphs[0])
    with pytest.raises(IndexError):
        store[len(graphs)]


def test_a_store_without_frames_or_edges_works(tmp_path):
    assert len(GraphStore.build(tmp_path / "s", [], CU, CUTOFFS)) == 0


def test_a_store_is_used_again_only_for_the_same_arguments(tmp_path, frames):
    GraphStore.build(tmp_path / "s", frames, CU, CUTOFFS, source="a")
    nobody = iter(())
    assert len(GraphStore.open_or_build(tmp_path / "s", nobody, CU, CUTOFFS, source="a")) == len(frames)
    assert len(GraphStore.open_or_build(tmp_path / "s", frames[:2], CU, LONGER, source="a")) == 2
    assert len(GraphStore.open_or_build(tmp_path / "s", frames[:3], CU, LONGER, source="b")) == 3


@pytest.mark.parametrize("damage", ["store.json", "index.npy", "forces.bin", "shorter", "version"])
def test_a_half_written_store_is_detected_and_built_again(tmp_path, frames, damage):
    path = tmp_path / "s"
    GraphStore.build(path, frames, CU, CUTOFFS)
    if damage == "shorter":
        data = (path / "edge_vectors.bin").read_bytes()
        (path / "edge_vectors.bin").write_bytes(data[:-8])
    elif damage == "version":
        header = json.loads((path / "store.json").read_text())
        (path / "store.json").write_text(json.dumps({**header, "equipot_graph_store": 99}))
    else:
        (path / damage).unlink()
    with pytest.raises(DataError, match=r"again|damaged|read"):
        GraphStore(path)
    assert len(GraphStore.open_or_build(path, frames, CU, CUTOFFS)) == len(frames)


def test_a_failing_build_leaves_nothing_behind_and_the_old_store_whole(tmp_path, frames):
    path = tmp_path / "s"
    GraphStore.build(path, frames, CU, CUTOFFS)
    with pytest.raises(UnknownSpeciesError):
        GraphStore.build(path, [*frames, frame_from_atoms(Atoms("H"))], CU, CUTOFFS)
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    assert len(GraphStore(path)) == len(frames)


def test_a_full_disk_is_one_sentence_and_the_partial_store_is_removed(tmp_path, frames, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module.os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left on device.*free some disk space"):
        GraphStore.build(tmp_path / "s", frames, CU, CUTOFFS)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_store_is_never_replaced(tmp_path, frames):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="not a graph store"):
        GraphStore.open_or_build(tmp_path / "s", frames, CU, CUTOFFS)
    assert (tmp_path / "s" / "thesis.tex").read_text() == "years of work"
