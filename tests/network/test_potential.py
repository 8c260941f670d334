"""The suite every kind of network passes: symmetries, derivatives, smoothness, isolated atoms, batches, no edges."""

import numpy as np
import pytest
import torch
from ase import Atoms

from equipot.contract import Inputs, edges_only
from equipot.network.derivatives import predict
from tests.models import KINDS, energy, make_potential, model_input, random_atoms, random_rotation


@pytest.fixture(params=list(KINDS))
def potential(request):
    return make_potential(seed=3, **KINDS[request.param])


def forces_and_virial(potential, atoms):
    p = predict(potential, model_input(potential, atoms))
    return p.forces.numpy(), p.virial[0].numpy()


def rotated(atoms: Atoms, matrix: np.ndarray) -> Atoms:
    return Atoms(
        atoms.symbols, atoms.positions @ matrix.T, cell=np.asarray(atoms.cell) @ matrix.T, pbc=atoms.pbc
    )


def test_energy_is_invariant_and_forces_turn_under_rotation(potential):
    atoms = random_atoms()
    matrix = random_rotation()
    turned = rotated(atoms, matrix)
    assert energy(potential, turned) == pytest.approx(energy(potential, atoms), abs=1e-10)
    forces, virial = forces_and_virial(potential, atoms)
    forces_turned, virial_turned = forces_and_virial(potential, turned)
    np.testing.assert_allclose(forces_turned, forces @ matrix.T, atol=1e-10)
    np.testing.assert_allclose(virial_turned, matrix @ virial @ matrix.T, atol=1e-9)


def test_energy_is_invariant_under_inversion(potential):
    if potential.spec.even:
        pytest.skip("an SO(3) network may tell a structure from its mirror image")
    atoms = random_atoms()
    assert energy(potential, rotated(atoms, -np.eye(3))) == pytest.approx(energy(potential, atoms), abs=1e-10)


def test_energy_is_invariant_under_translation_and_wrapping(potential):
    atoms = random_atoms()
    moved = atoms.copy()
    moved.translate([1.3, -2.2, 7.7])
    assert energy(potential, moved) == pytest.approx(energy(potential, atoms), abs=1e-10)
    moved.wrap()
    assert energy(potential, moved) == pytest.approx(energy(potential, atoms), abs=1e-10)


def test_atomic_energies_follow_a_permutation_of_atoms(potential):
    atoms = random_atoms()
    order = np.random.default_rng(1).permutation(len(atoms))
    before = potential(model_input(potential, atoms))["energies"].detach().numpy()
    after = potential(model_input(potential, atoms[order]))["energies"].detach().numpy()
    np.testing.assert_allclose(after, before[order], atol=1e-11)


def test_forces_are_minus_the_energy_gradient(potential):
    atoms = random_atoms(4)
    forces, _ = forces_and_virial(potential, atoms)
    h = 1e-5
    for i, axis in ((0, 0), (1, 1), (3, 2)):
        ends = []
        for step in (h, -h):
            moved = atoms.copy()
            moved.positions[i, axis] += step
            ends.append(energy(potential, moved))
        assert forces[i, axis] == pytest.approx(-(ends[0] - ends[1]) / (2 * h), abs=2e-7)


def test_virial_is_minus_the_strain_derivative(potential):
    atoms = random_atoms(4)
    _, virial = forces_and_virial(potential, atoms)
    h = 1e-5
    for a, b in ((0, 0), (1, 1), (0, 2)):
        ends = []
        for step in (h, -h):
            strain = np.eye(3)
            strain[a, b] += step / 2
            strain[b, a] += step / 2
            strained = atoms.copy()
            strained.set_cell(np.asarray(atoms.cell) @ strain, scale_atoms=True)
            ends.append(energy(potential, strained))
        assert virial[a, b] == pytest.approx(-(ends[0] - ends[1]) / (2 * h), abs=1e-6)


@pytest.mark.parametrize("kind", [kind for kind, options in KINDS.items() if "spec" not in options])
def test_an_isolated_atom_has_exactly_its_reference_energy(kind):
    potential = make_potential(seed=3, **KINDS[kind])
    lone = Atoms("SiO", [[0, 0, 0], [0, 0, 50.0]])
    atomic = potential(model_input(potential, lone))["energies"]
    assert atomic.tolist() == potential.e0.tolist()


def test_energy_and_forces_reach_zero_smoothly_at_the_cutoff(potential):
    cutoff = float(potential.pair_cutoffs[0, 1])

    def pair(r):
        atoms = Atoms("SiO", [[0, 0, 0], [0, 0, r]])
        p = predict(potential, model_input(potential, atoms, potential.cutoff + 1))
        return float(p.energy) - apart, float(p.forces[1, 2])

    apart = energy(potential, Atoms("SiO", [[0, 0, 0], [0, 0, 50.0]]))
    assert pair(cutoff + 1e-3) == (0.0, 0.0)
    for gap in (1e-2, 1e-3, 1e-4):
        e, f = pair(cutoff - gap)
        # The envelope falls at least as gap², the force therefore at least as gap.
        assert abs(e) < 50 * gap**2
        assert abs(f) < 100 * gap


def test_a_batch_gives_what_single_structures_give(potential):
    structures = [random_atoms(n, seed=n) for n in (1, 3, 6)]
    inputs = [model_input(potential, s) for s in structures]
    offsets = np.cumsum([0] + [len(s) for s in structures])
    species = torch.cat([i[0] for i in inputs])
    edge_index = torch.cat([i[1] + int(o) for i, o in zip(inputs, offsets)], dim=1)
    owner = torch.repeat_interleave(torch.arange(3), torch.tensor([len(s) for s in structures]))
    together = predict(
        potential,
        Inputs(
            species,
            edge_index,
            *(torch.cat([i[k] for i in inputs]) for k in range(2, 6)),
            graph_of_atom=owner,
        ),
    )
    for k, single in enumerate(inputs):
        alone = predict(potential, single)
        torch.testing.assert_close(together.energy[k], alone.energy[0], atol=1e-11, rtol=0)
        torch.testing.assert_close(together.virial[k], alone.virial[0], atol=1e-10, rtol=0)
        torch.testing.assert_close(
            together.forces[offsets[k] : offsets[k + 1]], alone.forces, atol=1e-11, rtol=0
        )


def test_no_atoms_and_no_edges_are_valid_inputs(potential):
    none = torch.zeros(0, dtype=torch.int64)
    no_edges = torch.zeros(2, 0, dtype=torch.int64), torch.zeros(0, 3, dtype=torch.float64)
    p = predict(potential, edges_only(none, *no_edges))
    assert p.energy.tolist() == [0.0]
    assert p.forces.shape == (0, 3)
    p = predict(potential, edges_only(torch.tensor([1]), *no_edges))
    assert p.energy.tolist() == [pytest.approx(energy(potential, Atoms("O")), abs=1e-14)]
    assert p.forces.tolist() == [[0.0, 0.0, 0.0]]


def test_far_groups_do_not_feel_each_other(potential):
    near = random_atoms(4, pbc=False)
    far = near.copy()
    far.positions += 100.0
    assert energy(potential, near + far) == pytest.approx(2 * energy(potential, near), abs=1e-9)


def test_ghosts_receive_what_their_originals_hold(potential):
    """Segments on a graph with ghost atoms, features copied between layers, equal the periodic graph."""
    atoms = random_atoms(3)
    inputs = model_input(potential, atoms)
    species, edge_index, vectors = inputs[:3]
    expected = potential(inputs)["energies"]
    n, e = len(atoms), edge_index.shape[1]
    owner = torch.cat([torch.arange(n), edge_index[1]])  # every neighbour becomes a ghost of its own
    ghosts = torch.stack([edge_index[0], n + torch.arange(e)])
    from equipot.ops import topology

    graph = topology(ghosts, n, n + e)
    x = potential.embed(species[owner])
    for k in range(potential.n_layers):
        features = x if k == 0 else x[owner]
        sent = potential.outgoing(k, features)
        x = potential.interact(k, features[:n], sent, species[owner], vectors, graph)
    found = potential.readout(x, species[owner], vectors, graph)["energies"]
    torch.testing.assert_close(found, expected, atol=1e-11, rtol=0)
