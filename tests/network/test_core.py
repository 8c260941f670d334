"""The repulsive core: nothing changes outside of it; inside, atoms repel, and the network sees longer distances."""

import dataclasses

import numpy as np
import pytest
import torch
from ase import Atoms

from equipot.errors import ConfigError
from equipot.model_file import load_model, write_model
from equipot.network.core import DEPTH, Core
from equipot.network.core_radii import MARGIN, core_radii
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from equipot.network.variants import with_core_radii, with_elements
from equipot.network.zbl import ZBL
from equipot.ops import topology
from tests.models import energy, make_potential, model_input, random_atoms

RADII = [[2.2, 1.5], [1.5, 1.3]]  # Si-Si, Si-O, O-O


def cored(radii=RADII, **options) -> Potential:
    return with_core_radii(make_potential(seed=3, **options), radii)


def pair(a: str, b: str, distance: float) -> Atoms:
    return Atoms([a, b], positions=[[0, 0, 0], [distance * 0.6, 0, distance * 0.8]])


def seen(core: Core, distance: float) -> float:
    vectors = torch.tensor([[0, distance, 0], [0, -distance, 0]], dtype=torch.float64)
    species, edges = torch.tensor([0, 1]), torch.tensor([[0, 1], [1, 0]])
    return float(core.seen_by_network(species, vectors, topology(edges, 2, 2))[0, 1])


def test_outside_of_the_core_nothing_changes():
    plain, atoms = make_potential(seed=3), random_atoms(6, seed=2)
    d = atoms.get_all_distances(mic=True) + 9 * np.eye(len(atoms))
    radius = float(d.min()) - 1e-9
    with_core = cored([[radius, radius], [radius, radius]])
    a, b = (predict(p, model_input(p, atoms)) for p in (plain, with_core))
    assert torch.equal(a.atomic_energies, b.atomic_energies)
    assert torch.equal(a.forces, b.forces)


def test_distances_seen_by_the_network_stop_falling():
    core = Core(["Si", "O"], torch.tensor(RADII, dtype=torch.float64))
    assert seen(core, 1.5) == 1.5
    assert seen(core, 1.51) == 1.51
    r = np.linspace(0.05, 1.5, 300)
    lengths = np.array([seen(core, x) for x in r])
    assert (np.diff(lengths) > 0).all()
    assert lengths[0] == pytest.approx(1.5 * (1 - DEPTH), rel=1e-3)
    # Near the radius, the difference is of fourth order: y⁴/3 with y = (1 - r/r0)/d.
    small = 1e-2
    assert seen(core, 1.5 * (1 - DEPTH * small)) - 1.5 * (1 - DEPTH * small) == pytest.approx(
        1.5 * DEPTH * small**4 / 3, rel=1e-2
    )


def test_the_energy_inside_is_that_of_the_network_at_the_seen_distance_and_zbl():
    plain, with_core = make_potential(seed=3), cored()
    distance = 1.2  # Si-O: inside 1.5 Å
    reached = seen(with_core.core, distance)
    zbl = ZBL(["Si", "O"], torch.tensor(RADII, dtype=torch.float64), "cutoff")
    inputs = model_input(plain, pair("Si", "O", distance))
    repulsion = float(zbl(inputs.species, inputs.edge_vectors, topology(inputs.edge_index, 2, 2)).sum())
    expected = energy(plain, pair("Si", "O", reached)) + repulsion
    assert energy(with_core, pair("Si", "O", distance)) == pytest.approx(expected, abs=1e-10)
    assert repulsion > 1


@pytest.mark.parametrize("seed", range(3))
def test_forces_are_finite_differences_inside_and_at_the_edge(seed):
    potential = cored([[2.4, 2.0], [2.0, 2.2]])
    atoms = random_atoms(5, seed=seed)
    forces = predict(potential, model_input(potential, atoms)).forces.numpy()
    h = 1e-5
    for i in range(len(atoms)):
        for k in range(3):
            e = []
            for step in (-h, h):
                moved = atoms.copy()
                moved.positions[i, k] += step
                e.append(energy(potential, moved))
            assert forces[i, k] == pytest.approx(
                -(e[1] - e[0]) / (2 * h), abs=2e-6 * max(1, abs(forces).max())
            )


@pytest.mark.parametrize("elements", [("Si", "Si"), ("Si", "O"), ("O", "O")])
@pytest.mark.parametrize("seed", range(4))
def test_pairs_repel_down_to_tiny_distances(seed, elements):
    # Below the depth that the network still sees, only ZBL is left, for any weights.
    potential = with_core_radii(make_potential(seed=seed), RADII)
    i, j = ("Si", "O").index(elements[0]), ("Si", "O").index(elements[1])
    r = np.arange(0.05, 0.75 * RADII[i][j], 0.02)
    energies = np.array([energy(potential, pair(*elements, x)) for x in r])
    assert (np.diff(energies) < 0).all()


def test_radii_come_from_the_data_and_stay_below_contact():
    known = MARGIN * np.array([1.5, 0.9])
    radii = core_radii(["H", "O"], [[1.5, 0.9], [0.9, None]], 5.0)
    np.testing.assert_allclose(radii, [known, [known[1], 1.32]])
    assert core_radii(["H"], [[4.5]], 5.0) == [[pytest.approx(2 * 0.31 + 1.6)]]
    assert core_radii(["Cs"], None, 3.0) == [[3.0]]  # at most the cutoff


def test_fewer_elements_keep_their_radii():
    whole = cored()
    part = with_elements(whole, ["O"])
    assert part.spec.core_radii == ((1.3,),)
    assert energy(part, pair("O", "O", 0.9)) == pytest.approx(energy(whole, pair("O", "O", 0.9)), abs=1e-10)


def test_the_model_file_keeps_the_core(tmp_path):
    potential = cored()
    path = write_model(tmp_path / "model.pt", potential, verify=False)
    loaded = load_model(path)
    for distance in (0.1, 1.2, 1.4999, 1.6):
        inputs = model_input(potential, pair("Si", "O", distance))
        found = predict(loaded.module, inputs)
        expected = predict(potential, inputs)
        torch.testing.assert_close(found.atomic_energies, expected.atomic_energies, rtol=1e-12, atol=1e-10)
        torch.testing.assert_close(found.forces, expected.forces, rtol=1e-12, atol=1e-10)


def test_the_description_holds_the_radii_and_refuses_others():
    spec = cored().spec
    assert type(spec).from_dict(spec.to_dict()) == spec
    with pytest.raises(ConfigError, match="does not know"):
        with_elements(cored(), ["Ge"])
    assert dataclasses.replace(spec, core_radii=None).to_dict()["core_radii"] is None
