from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms

from equipot.data.graph import collate, graph_from_frame
from equipot.errors import ConfigError, DataError, UnknownSpeciesError
from equipot.neighbours import PairCutoffs
from equipot.network.derivatives import predict
from equipot.species import SpeciesMap
from equipot.structures import Frame, frame_from_atoms
from equipot.training.loss import residuals
from tests.models import make_potential, model_input, random_atoms

CU = SpeciesMap(["Cu"])


def test_species_are_indexed_in_the_given_order():
    assert SpeciesMap(["O", "H"]).index(np.array([1, 8, 1])).tolist() == [1, 0, 1]
    assert SpeciesMap.of_numbers([np.array([8, 1]), np.array([14])]).names == ("H", "O", "Si")


@pytest.mark.parametrize("names", [["Xx"], ["X"], ["H", "H"], []])
def test_names_that_are_no_list_of_elements_are_errors(names):
    with pytest.raises(ConfigError):
        SpeciesMap(names)


def test_unknown_elements_are_named_before_any_number_comes_out():
    with pytest.raises(UnknownSpeciesError, match="water holds H, O, but the model knows only Cu"):
        CU.index(np.array([8, 1, 29]), "water")
    for number in (-1, 0, 500):
        with pytest.raises(UnknownSpeciesError):
            CU.index(np.array([29, number]))


def test_pair_cutoffs_hold_both_ways_and_bad_pairs_are_errors():
    species = SpeciesMap(["H", "O"])
    cutoffs = PairCutoffs.from_config(species.names, 4.0, {"O-H": 3.0})
    assert cutoffs.matrix.tolist() == [[4.0, 3.0], [3.0, 4.0]]
    assert cutoffs.shorter() == {"H-O": 3.0}
    for bad in ({"H-Si": 2.0}, {"H": 2.0}, {"H-O": 5.0}, {"H-O": 3.0, "O-H": 2.0}):
        with pytest.raises(ConfigError, match="pair_cutoffs"):
            PairCutoffs.from_config(species.names, 4.0, bad)
    frame = frame_from_atoms(Atoms("OH", positions=[[0, 0, 0], [0, 0, 3.5]]))
    assert graph_from_frame(frame, species, 4.0).n_edges == 2
    assert graph_from_frame(frame, species, cutoffs).n_edges == 0


def test_a_graph_carries_its_labels(trajectory):
    frame = trajectory[0]
    graph = graph_from_frame(frame, CU, 4.0, groups=["default", "md"])
    assert float(graph.labels["energy"]) == frame.energy
    assert graph.volume == pytest.approx(frame.volume)
    np.testing.assert_array_equal(graph.labels["forces"].numpy(), frame.forces)
    np.testing.assert_array_equal(graph.labels["stress"].numpy(), frame.stress)
    assert graph.config_type == 1
    assert graph.edge_vectors.dtype == graph.labels["energy"].dtype == torch.float64
    np.testing.assert_array_equal(graph.positions.numpy(), frame.positions)
    np.testing.assert_array_equal(graph.cell.numpy(), frame.cell)
    assert graph.pbc.tolist() == [True] * 3


def test_missing_labels_are_left_out_and_stress_needs_a_volume(trajectory):
    bare = trajectory[0].relabelled(energy=None, forces=None, stress=None)
    graph = graph_from_frame(bare, CU, 4.0)
    assert graph.labels == {}
    slab = replace(trajectory[0], pbc=np.array([True, False, True]))
    assert set(graph_from_frame(slab, CU, 4.0).labels) == {"energy", "forces", "stress"}
    flat = replace(slab, cell=slab.cell * [[1], [0], [1]])
    molecule = replace(slab, pbc=np.array([False] * 3))
    for frame in (flat, molecule):
        graph = graph_from_frame(frame, CU, 4.0)
        assert set(graph.labels) == {"energy", "forces"}
        assert np.isnan(graph.volume)


def test_the_loss_of_the_models_own_labels_is_zero_for_layers_too():
    potential = make_potential(seed=3)
    frames = []
    for k, pbc in enumerate([True, (True, True, False), (True, False, False), False]):
        atoms = random_atoms(5, seed=k, pbc=pbc)
        of_model = predict(potential, model_input(potential, atoms))
        frame = Frame(atoms.numbers, atoms.positions, atoms.cell.array, np.array(atoms.pbc))
        stress = -of_model.virial[0].numpy() / atoms.get_volume()
        frames.append(frame.relabelled(energy=of_model.energy[0], forces=of_model.forces, stress=stress))
    batch = collate(graph_from_frame(f, SpeciesMap(("Si", "O")), potential.cutoff) for f in frames)
    assert batch.labelled["stress"].tolist() == [True, True, True, False]
    off = residuals(predict(potential, batch.inputs), batch)
    assert off["stress"].error.shape == (3, 3, 3)
    assert off["stress"].reference.abs().amax((1, 2)).min() > 1e-3
    for residual in off.values():
        assert residual.error.abs().max() < 1e-11
    np.testing.assert_allclose(
        off["stress"].scale.ravel(), [abs(np.linalg.det(f.cell)) / 5 for f in frames[:3]], rtol=1e-12
    )


@pytest.mark.parametrize("field", ["energy", "forces", "stress", "positions", "cell"])
def test_values_that_are_not_finite_are_an_error_with_the_source(trajectory, field):
    frame = trajectory[1]
    nan = np.nan * np.asarray(getattr(frame, field))
    in_geometry = field in ("positions", "cell")
    frame = replace(frame, **{field: nan}) if in_geometry else frame.relabelled(**{field: nan})
    with pytest.raises(DataError, match=r"md\.extxyz#1.*not finite"):
        graph_from_frame(frame, CU, 4.0)


def test_a_batch_is_its_graphs_side_by_side(trajectory):
    nothing = Frame(np.zeros(0, int), np.zeros((0, 3)), np.zeros((3, 3)), np.zeros(3, bool)).relabelled(
        energy=0.0
    )
    lone = frame_from_atoms(Atoms("Cu"))
    graphs = [graph_from_frame(f, CU, 4.0) for f in (trajectory[0], nothing, lone, trajectory[1])]
    batch = collate(graphs)
    assert len(batch) == 4
    assert batch.n_atoms.tolist() == [4, 0, 1, 4]
    inputs = batch.inputs
    assert inputs.graph_of_atom.tolist() == [0] * 4 + [2] + [3] * 4
    assert batch.n_edges.tolist() == [g.n_edges for g in graphs]
    assert batch.labelled["forces"].tolist() == [True, False, False, True]
    assert inputs.edge_index.dtype == torch.int64
    assert (inputs.edge_index[0].diff() >= 0).all()
    graph_of_edge = inputs.graph_of_atom[inputs.edge_index[0]]
    assert (graph_of_edge == inputs.graph_of_atom[inputs.edge_index[1]]).all()
    last = graph_of_edge == 3
    assert (inputs.edge_index[:, last] - 5 == graphs[3].edge_index).all()
    assert (inputs.edge_vectors[last] == graphs[3].edge_vectors).all()
    assert (inputs.positions[inputs.graph_of_atom == 3] == graphs[3].positions).all()
    assert inputs.cell.shape == batch.labels["stress"].shape == (4, 3, 3)
    assert inputs.pbc.tolist() == [g.pbc.tolist() for g in graphs]
    expected = [g.volume for g in graphs]
    np.testing.assert_array_equal(batch.volume.numpy(), expected)


def test_a_batch_of_nothing_and_of_atoms_without_edges_has_the_right_shapes():
    for graphs, n in ([], 0), ([graph_from_frame(frame_from_atoms(Atoms("Cu")), CU, 4.0)] * 2, 2):
        batch = collate(graphs)
        assert batch.inputs.edge_index.shape == (2, 0)
        assert batch.inputs.edge_vectors.shape == (0, 3)
        assert batch.labels["forces"].shape == (n, 3)
        assert batch.labels["stress"].shape == (n, 3, 3)
        assert batch.labels["energy"].shape == batch.labelled["energy"].shape == (n,)


def test_a_batch_moves_as_a_whole(trajectory):
    batch = collate([graph_from_frame(trajectory[0], CU, 4.0)]).to("meta")
    tensors = [
        *batch.inputs,
        *batch.labels.values(),
        *batch.labelled.values(),
        batch.n_atoms,
        batch.config_type,
    ]
    assert all(t.device.type == "meta" for t in tensors)
