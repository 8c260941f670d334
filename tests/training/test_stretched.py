"""The frames of stretched bonds, and the loss that is zero for bonds that pull and grows for those that do not."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from equipot.data.graph import graph_from_frame
from equipot.network.variants import with_core_radii
from equipot.species import SpeciesMap
from equipot.structures import frame_from_atoms
from equipot.training.stretched import CONTACT, FURTHER, PULL, WEIGHT, StretchedBonds
from tests.models import make_potential

NAMES = ["H", "C", "O"]
CUTOFF = 4.0


def stretched_bonds(*structures: Atoms, at_once: int = 4, names: list[str] = NAMES) -> StretchedBonds:
    graphs = [graph_from_frame(frame_from_atoms(atoms), SpeciesMap(names), CUTOFF) for atoms in structures]
    return StretchedBonds(names, graphs, at_once, seed=1)


def moved_parts(bonds: StretchedBonds, n_atoms: int, steps: int = 50) -> set[frozenset[int]]:
    """The sets of atoms that move together in some step, for frames of equal size."""
    parts = set()
    for step in range(steps):
        away = bonds.inputs(step)[1].reshape(-1, n_atoms, 3)
        parts |= {frozenset(np.flatnonzero(frame.any(1)).tolist()) for frame in away.numpy()}
    return parts


def test_each_bond_that_joins_two_parts_moves_the_smaller_one():
    ethanol = molecule("CH3CH2OH")
    near = ethanol.get_all_distances() < 1.7
    oxygen, hydrogen_of_oxygen = ethanol.symbols.search("O")[0], None
    for h in ethanol.symbols.search("H"):
        if ethanol.get_distance(h, oxygen) < 1.1:
            hydrogen_of_oxygen = int(h)
    parts = moved_parts(stretched_bonds(ethanol), 9)
    assert {frozenset({int(h)}) for h in ethanol.symbols.search("H")} <= parts
    assert frozenset({int(oxygen), hydrogen_of_oxygen}) in parts  # C-O
    methyl = min(
        (set(np.flatnonzero(near[c])) for c in ethanol.symbols.search("C")), key=lambda s: oxygen in s
    )
    assert any(len(part) == 4 and part <= set(map(int, methyl)) for part in parts)  # C-C
    assert len(parts) == 8  # bonds


def test_a_stretched_bond_is_longer_than_all_of_the_data_and_nothing_else_changes():
    longer = molecule("CH4")
    longer.positions[1] *= 1.15
    bonds = stretched_bonds(molecule("CH4"), longer, at_once=1)
    longest = longer.get_distances(0, range(1, 5)).max()
    for step in range(20):
        inputs, away, frame = bonds.inputs(step)
        assert frame.tolist() == [0] * 5
        (moved,) = np.flatnonzero(away.numpy().any(1))
        centre, neighbour = inputs.edge_index.numpy()
        vectors = inputs.edge_vectors.numpy()
        lengths = np.linalg.norm(vectors, axis=1)
        bond = (centre == 0) & (neighbour == moved)
        assert longest <= lengths[bond] <= longest + FURTHER
        np.testing.assert_allclose(away[moved], (vectors[bond] / lengths[bond])[0])
        rest = (centre != moved) & (neighbour != moved)
        assert any(np.allclose(graph.edge_vectors.numpy()[rest], vectors[rest]) for graph in bonds.graphs)
        np.testing.assert_array_equal(vectors[centre == moved], -vectors[neighbour == moved])


def test_seed_and_step_alone_decide():
    bonds = stretched_bonds(molecule("CH3CH2OH"))
    torch.testing.assert_close(bonds.inputs(3)[0], bonds.inputs(3)[0], rtol=0, atol=0, equal_nan=True)
    assert not torch.equal(bonds.inputs(3)[1], bonds.inputs(4)[1])


def test_rings_and_metals_and_single_atoms_have_no_such_bonds():
    ring = Atoms("C6", positions=[[1.4 * np.cos(a), 1.4 * np.sin(a), 0] for a in np.arange(6) * np.pi / 3])
    for atoms, names in ((ring, ["C"]), (bulk("Cu", cubic=True), ["Cu"]), (Atoms("H"), ["H"])):
        assert all(len(stretched_bonds(atoms, names=names).inputs(step)[2]) == 0 for step in range(5))
    assert StretchedBonds(NAMES, [], 4, seed=1).loss(make_potential(species=tuple(NAMES)), 0) is None


def test_the_hydrogen_of_a_hydrogen_bond_does_not_reach_the_other_molecule():
    water, acceptor = molecule("H2O"), molecule("H2O")
    direction = water.positions[1] - water.positions[0]
    acceptor.positions += 2.8 * direction / np.linalg.norm(direction)
    bonds = stretched_bonds(water + acceptor)
    lengths = []  # of the hydrogen bond
    for step in range(100):
        inputs = bonds.inputs(step)[0]
        centre, neighbour = inputs.edge_index.numpy() % 6
        lengths += inputs.edge_vectors.norm(dim=1)[(centre == 1) & (neighbour == 3)].tolist()
    assert 0.97 * CONTACT <= min(lengths) < 2.8 - 0.98


class Spring(torch.nn.Module):
    """Hydrogen atoms are pulled to oxygen with one force."""

    def __init__(self, force: float) -> None:
        super().__init__()
        self.force = torch.nn.Parameter(torch.tensor(force, dtype=torch.float64))
        self.register_buffer("e0", torch.zeros(3))

    def forward(self, inputs):
        lengths = inputs.edge_vectors.square().sum(1).sqrt()
        species = inputs.species[inputs.edge_index]
        pulls = 0.5 * self.force * lengths * (species.sum(0) == 2)
        return {"energies": pulls.new_zeros(len(inputs.species)).index_add(0, inputs.edge_index[0], pulls)}


@pytest.mark.parametrize("force", [-1.0, 0.0, PULL - 0.5, PULL + 0.5])
def test_the_loss_is_the_square_of_the_missing_pull(force):
    loss = stretched_bonds(molecule("H2O")).loss(Spring(force), 0)
    assert float(loss.detach()) == pytest.approx(WEIGHT * max(0.0, PULL - force) ** 2, abs=1e-12)


def test_its_gradient_makes_bonds_pull():
    radii = [[1.0, 1.0, 0.9], [1.0, 1.3, 1.2], [0.9, 1.2, 1.2]]
    potential = with_core_radii(make_potential(seed=1, species=tuple(NAMES)), radii)
    bonds = stretched_bonds(molecule("CH3CH2OH"))
    optimizer = torch.optim.Adam(potential.parameters(), lr=0.01)
    before = float(bonds.loss(potential, 1000).detach())
    for step in range(60):
        optimizer.zero_grad()
        bonds.loss(potential, step).backward(inputs=list(potential.parameters()))
        optimizer.step()
    assert float(bonds.loss(potential, 1000).detach()) < 0.1 * before
