"""The flux of energy: what `compute heat/flux` makes of `compute centroid/stress/atom`."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.neighborlist import neighbor_list
from scipy.spatial.distance import cdist

from equipot.contract import Inputs, edges_only
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from tests.lammps.conftest import SPECIES
from tests.lammps.ranks import on_ranks
from tests.lammps.running import PRESSURE, good, lmp, setup, write_data

PER_PS = 1000 * units.fs  # ASE's time unit in ps
ORDER = ([0, 1, 2, 0, 0, 1, 1, 2, 2], [0, 1, 2, 1, 2, 2, 0, 0, 1])  # of LAMMPS's nine components


def crowd(n: int, size: float, seed: int) -> Atoms:
    """Atoms set at random one after the other, none closer than 1.6 Å to another, in a skewed cell."""
    rng = np.random.default_rng(seed)
    cell = size * np.array([[1.0, 0, 0], [0.2, 0.95, 0], [-0.1, 0.15, 1.05]])
    atoms = Atoms(cell=cell, pbc=True)
    while len(atoms) < n:
        more = atoms + Atoms(rng.choice(SPECIES), [rng.random(3) @ cell])
        if not len(neighbor_list("i", more, 1.6)):
            atoms = more
    return atoms


def graph_of(potential: Potential, atoms: Atoms) -> Inputs:
    i, j, vectors = neighbor_list("ijD", atoms, potential.cutoff)
    species = np.array([SPECIES.index(s) for s in atoms.symbols])
    limits = potential.pair_cutoffs.numpy()[species[i], species[j]]
    near = np.linalg.norm(vectors, axis=1) < limits
    edge_index = np.stack([i, j])[:, near]
    return edges_only(torch.tensor(species), torch.tensor(edge_index), torch.tensor(vectors[near]))


def brute_force(potential: Potential, atoms: Atoms) -> np.ndarray:
    """Return W_j = sum over atoms i and their images of (r_i - r_j) ⊗ dE_i/dr_j, (n, 3, 3) eV.

    The sum runs over a cluster whose boundaries do not matter: it holds every atom within reach of one in the cell,
    messages included.
    """
    reach = potential.n_layers * potential.cutoff
    images = [range(-n, n + 1) for n in np.ceil(reach / atoms.cell.cellpar()[:3] * 1.2).astype(int)]
    shifts = np.array(list(itertools.product(*images)))
    order = np.argsort(np.abs(shifts).sum(axis=1), kind="stable")  # the cell itself first
    n = len(atoms)
    positions = (atoms.positions + (shifts[order] @ atoms.cell.array)[:, None]).reshape(-1, 3)
    matter = cdist(positions, atoms.positions).min(axis=1) < reach
    positions, inside = positions[matter], np.tile(np.arange(n), len(shifts))[matter]
    cluster = Atoms(atoms.numbers[inside], positions)
    graph = graph_of(potential, cluster)
    edge_index, vectors = graph.edge_index, graph.edge_vectors.requires_grad_(True)
    energies = potential(graph)["energies"]
    found = np.zeros((n, 3, 3))
    for i in range(n):
        (gradient,) = torch.autograd.grad(energies[i], vectors, retain_graph=True)
        of_position = torch.zeros(len(cluster), 3, dtype=torch.float64)
        of_position.index_add_(0, edge_index[1], gradient).index_add_(0, edge_index[0], -gradient)
        outer = (positions[i] - positions)[:, :, None] * of_position.numpy()[:, None, :]
        np.add.at(found, inside, outer)
    return found


@pytest.fixture(scope="module", params=[1, 2, 3], ids=lambda n: f"{n}ranks")
def shares(request, tmp_path_factory, double_file) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nine components (n, 3, 3) eV; virial (6,) eV; thermo (pe, press) with and without the compute."""
    folder = tmp_path_factory.mktemp("flux")
    write_data(folder / "crowd.data", CROWD, list(SPECIES))
    plain = setup("crowd", double_file) + "thermo_style custom pe press\nthermo_modify format float %.17g\n"
    script = (
        plain
        + 'print "BEGIN plain"\nrun 0\n'
        + "compute c all centroid/stress/atom NULL virial\ncompute w all pressure NULL virial\n"
        + "dump d all custom 1 centroid.dump id c_c[*]\ndump_modify d format float %.17g sort id\n"
        + "thermo_style custom pe press c_w[*] vol\nthermo_modify format float %.17g\n"
        + 'print "BEGIN centroid"\nrun 0\n'
    )
    output = good(lmp(script, folder, request.param))
    rows = [
        np.array(output.split(f"BEGIN {name}\n")[1].split("Loop")[0].splitlines()[-1].split(), dtype=float)
        for name in ("plain", "centroid")
    ]
    nine = -np.loadtxt(folder / "centroid.dump", skiprows=9)[:, 1:] / PRESSURE
    tensors = np.zeros((len(nine), 3, 3))
    tensors[:, ORDER[0], ORDER[1]] = nine
    return tensors, rows[1][2:8] * rows[1][8] / PRESSURE, np.stack([rows[0][:2], rows[1][:2]])


CROWD = crowd(14, 5.8, 5)  # the cell is smaller than the reach of messages


def test_the_shares_are_those_of_every_atoms_energy_by_brute_force(shares, double):
    np.testing.assert_allclose(shares[0], brute_force(double, CROWD), rtol=1e-6, atol=1e-8)


def test_the_shares_sum_to_the_virial(shares):
    sums = shares[0].sum(axis=0)
    np.testing.assert_allclose(sums, sums.T, atol=1e-9)
    np.testing.assert_allclose(sums[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]], shares[1], rtol=1e-9, atol=1e-9)


def test_asking_for_the_shares_changes_neither_energy_nor_pressure(shares):
    np.testing.assert_allclose(shares[2][0], shares[2][1], rtol=1e-12)


@on_ranks(1, 2)
def test_the_heat_flux_is_the_time_derivative_of_the_energys_first_moment(
    tmp_path: Path, double, double_file, ranks
):
    # J = d/dt sum_i r_i e_i of an isolated cluster, by finite differences along the trajectory.
    atoms = crowd(20, 7.0, 6)
    atoms = Atoms(atoms.numbers, atoms.positions + 8, cell=[25, 25, 25], pbc=False)
    atoms.set_masses([{"Si": 28.0855, "O": 15.9994}[s] for s in atoms.symbols])
    atoms.set_velocities(np.random.default_rng(1).normal(0, 0.05, (len(atoms), 3)))

    def moment(time: float) -> np.ndarray:
        moved = atoms.copy()
        moved.positions += time * atoms.get_velocities() + 0.5 * time**2 * acceleration
        velocities = atoms.get_velocities() + time * acceleration
        kinetic = 0.5 * atoms.get_masses() * (velocities**2).sum(axis=1)
        energies = predict(double, graph_of(double, moved)).atomic_energies.numpy()
        return ((energies + kinetic)[:, None] * moved.positions).sum(axis=0)

    forces = predict(double, graph_of(double, atoms)).forces.numpy()
    acceleration = forces / atoms.get_masses()[:, None]
    step = 1e-4
    expected = (moment(step) - moment(-step)) / (2 * step) * PER_PS  # eV Å/ps

    write_data(tmp_path / "cluster.data", atoms, list(SPECIES))
    velocities = atoms.get_velocities() * PER_PS
    script = setup("cluster", double_file, boundary="f f f") + "".join(
        f"set atom {i + 1} vx {v[0]:.15g} vy {v[1]:.15g} vz {v[2]:.15g}\n" for i, v in enumerate(velocities)
    )
    script += (
        "mass 1 28.0855\nmass 2 15.9994\n"
        "compute ke all ke/atom\ncompute pe all pe/atom\ncompute c all centroid/stress/atom NULL virial\n"
        "compute flux all heat/flux ke pe c\n"
        "thermo_style custom c_flux[1] c_flux[2] c_flux[3]\nthermo_modify format float %.12g\nrun 0\n"
    )
    output = good(lmp(script, tmp_path, ranks))
    found = np.array(output.split("Loop")[0].splitlines()[-1].split(), dtype=float)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
