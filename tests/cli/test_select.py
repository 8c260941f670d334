"""`equipot select`: frames that are unlike the training set and unlike each other."""

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms

from equipot.cli.main import main
from equipot.data.graph import collate, graph_from_frame
from equipot.errors import ConfigError
from equipot.model_file import write_model
from equipot.ops import topology
from equipot.species import SpeciesMap
from equipot.structures import frame_from_atoms
from equipot.uncertainty.grade import fit_grade
from equipot.uncertainty.select import select
from tests.models import make_potential, random_atoms


def graphs_of(potential, frames):
    species = SpeciesMap(potential.type_names)
    return [graph_from_frame(frame_from_atoms(a), species, potential.spec.cutoffs) for a in frames]


@pytest.fixture(scope="module")
def graded():
    plain = make_potential(seed=3, dtype="float64")
    return fit_grade(plain, graphs_of(plain, [random_atoms(8, seed=k) for k in range(30)])).potential


@pytest.fixture(scope="module")
def pool():
    """Frames like those of the training set, squeezed ones, and a near twin of each squeezed one."""
    like, squeezed = [random_atoms(8, seed=k) for k in range(6)], []
    for atoms in like:
        atoms.rattle(0.01, seed=2)
    for k in range(4):
        atoms = random_atoms(8, seed=200 + k)
        atoms.set_cell(atoms.cell * (0.9 - 0.03 * k), scale_atoms=True)
        squeezed.append(atoms)
    twins = [a.copy() for a in squeezed]
    for atoms in twins:
        atoms.rattle(0.002, seed=1)
    return [*like, *squeezed, *twins]


def whitened(potential, graph):
    inputs = collate([graph]).inputs
    n = len(inputs.species)
    with torch.no_grad():
        h = potential.last_features(inputs, topology(inputs.edge_index, n, n))
        return potential.grade.whitened(h, inputs.species).numpy(), inputs.species.numpy()


def test_each_choice_has_the_atom_that_adds_most_to_the_determinant(graded, pool):
    graphs = graphs_of(graded, pool)
    chosen = select(graded, graphs, 5)
    vectors = [whitened(graded, g) for g in graphs]
    d = vectors[0][0].shape[1]
    known = [np.eye(d) for _ in range(2)]
    taken = []
    for choice in chosen:
        gains = {
            k: max(
                np.linalg.slogdet(known[s] + np.outer(g, g))[1] - np.linalg.slogdet(known[s])[1]
                for g, s in zip(*v)
            )
            for k, v in enumerate(vectors)
            if k not in taken
        }
        assert choice.frame == max(gains, key=gains.get)
        assert np.log(1 + choice.left**2) == pytest.approx(gains[choice.frame], rel=1e-6)
        taken.append(choice.frame)
        for g, s in zip(*vectors[choice.frame]):
            known[s] += np.outer(g, g)


def test_unlike_frames_come_first(graded, pool):
    first = [c.frame for c in select(graded, graphs_of(graded, pool), 4)]
    assert all(k >= 6 for k in first)


def test_a_twin_of_a_chosen_frame_has_little_to_add(graded, pool):
    first, second = select(graded, graphs_of(graded, [pool[9], pool[13]]), 2)
    assert first.grade > 2
    assert second.grade > 2
    assert second.left < 1


def test_only_grades_in_the_range_are_candidates(graded, pool):
    chosen = select(graded, graphs_of(graded, pool), len(pool), lowest=0.5, highest=3.0)
    assert chosen
    assert all(0.5 <= c.grade <= 3.0 for c in chosen)


def test_a_new_element_comes_first():
    plain = make_potential(seed=3)
    silicon = [
        Atoms("Si8", a.positions, cell=a.cell, pbc=True) for a in (random_atoms(8, seed=k) for k in range(30))
    ]
    graded = fit_grade(plain, graphs_of(plain, silicon)).potential
    chosen = select(graded, graphs_of(plain, [*silicon[:3], random_atoms(8, seed=1)]), 2)
    assert chosen[0].frame == 3
    assert chosen[0].left == np.inf


def test_a_network_without_grades_is_an_error(pool):
    plain = make_potential(seed=3)
    with pytest.raises(ConfigError, match="gives no extrapolation grades"):
        select(plain, graphs_of(plain, pool), 2)


def test_the_command_writes_what_it_chose(graded, pool, tmp_path, capsys):
    model = str(write_model(tmp_path / "m.pt", graded, verify=False))
    ase.io.write(tmp_path / "pool.extxyz", pool)
    command = ["select", model, str(tmp_path / "pool.extxyz"), "-o", str(tmp_path / "out.extxyz")]
    assert main([*command, "-n", "3"]) == 0
    written = ase.io.read(tmp_path / "out.extxyz", ":")
    assert [a.info["source"] for a in written] == [
        f"{tmp_path}/pool.extxyz#{c.frame}" for c in select(graded, graphs_of(graded, pool), 3)
    ]
    assert all(a.info["gamma"] > 1 for a in written)
    assert "Chosen of 14 structures" in capsys.readouterr().out
    for options, words in (
        (["-n", "0"], "-n is 0"),
        (["-n", "3", "--between", "5", "1"], "--between is 5 1"),
        (["-n", "3", "--between", "1e8", "1e9"], "no structure has a highest grade between 1e+08 and 1e+09"),
    ):
        assert main([*command, *options]) == 1
        assert words in capsys.readouterr().err
