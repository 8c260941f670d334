"""The loss of unseen pairs is zero for pairs that repel and grows with the pull of those that attract."""

import numpy as np
import pytest
import torch

from equipot.network.core import DEPTH
from equipot.network.core_radii import MARGIN
from equipot.network.derivatives import predict
from equipot.network.variants import with_core_radii
from equipot.training.pairs import AT_ONCE, LEAST, WEIGHT, UnseenPairs
from tests.models import make_potential

# The sums of the covalent radii are 2.22, 1.77 and 1.32 Å.
RADII = torch.tensor([[2.2, 1.9], [1.9, 1.3]], dtype=torch.float64)


class Spring(torch.nn.Module):
    """Pairs that repel with one force, or attract for a negative one."""

    def __init__(self, force: float) -> None:
        super().__init__()
        self.force = torch.nn.Parameter(torch.tensor(force, dtype=torch.float64))
        self.register_buffer("e0", torch.zeros(2))

    def forward(self, inputs):
        lengths = inputs.edge_vectors.square().sum(1).sqrt()
        energies = torch.zeros(len(inputs.species), dtype=torch.float64)
        return {"energies": energies.index_add(0, inputs.edge_index[0], -0.5 * self.force * lengths)}


def test_pairs_lie_below_the_radii_and_depend_on_seed_and_step_alone():
    pairs = UnseenPairs(["Si", "O"], RADII, seed=1)
    inputs = pairs.inputs(8)
    assert len(inputs.species) == 2 * AT_ONCE
    centre, neighbour = inputs.edge_index
    assert (centre.diff() >= 0).all()
    assert (centre // 2 == neighbour // 2).all()
    radii = RADII[inputs.species[centre], inputs.species[neighbour]]
    fractions = inputs.edge_vectors.norm(dim=1) / radii
    assert fractions.max() <= 1
    assert fractions.min() > 1 - 2 * DEPTH
    assert {tuple(sorted(p)) for p in inputs.species.reshape(-1, 2).tolist()} == {(0, 0), (0, 1), (1, 1)}
    again, other = UnseenPairs(["Si", "O"], RADII, seed=1).inputs(8), pairs.inputs(12)
    assert torch.equal(inputs.edge_vectors, again.edge_vectors)
    assert not torch.equal(inputs.edge_vectors, other.edge_vectors)


@pytest.mark.parametrize("force", [-1.5, 0.0, LEAST / 2, 2 * LEAST])
def test_the_loss_is_the_square_of_the_missing_repulsion(force):
    expected = WEIGHT * max(0.0, LEAST - force) ** 2
    loss = UnseenPairs(["Si", "O"], RADII, seed=0).loss(Spring(force), step=4)
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-12)


def test_bonded_pairs_of_elements_are_left_out():
    distances = torch.tensor([[2.1, 1.9], [1.9, 1.1]], dtype=torch.float64)  # Si-Si and O-O are bonds
    shorter = MARGIN * distances
    assert UnseenPairs(["Si", "O"], shorter, seed=0).pairs.tolist() == [[0, 1]]
    assert len(UnseenPairs(["Si"], MARGIN * torch.full((1, 1), 2.1, dtype=torch.float64), seed=0).pairs) == 0


def test_its_gradient_makes_an_attractive_network_repel():
    potential = with_core_radii(make_potential(seed=1), RADII.tolist())
    pairs = UnseenPairs(["Si", "O"], RADII, seed=0)
    optimizer = torch.optim.Adam(potential.parameters(), lr=0.01)
    before = float(pairs.loss(potential, 0).detach())
    assert before > 0
    for step in range(60):
        optimizer.zero_grad()
        pairs.loss(potential, step).backward(inputs=list(potential.parameters()))
        optimizer.step()
    assert float(pairs.loss(potential, 1000).detach()) < 0.1 * before
    forces = predict(potential, pairs.inputs(1001)).forces.numpy()
    assert np.mean(forces[1::2, 2] * np.sign(pairs.inputs(1001).edge_vectors.numpy()[::2, 2]) > 0) > 0.9
