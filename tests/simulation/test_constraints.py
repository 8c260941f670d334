"""Constraints in files of extended XYZ: what can be written comes back, what cannot is named."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import (
    FixAtoms,
    FixBondLength,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedPlane,
    FixInternals,
    FixScaled,
    Hookean,
)

from equipot.simulation.constraints import lost_constraints
from equipot.simulation.structures import append_frame, read_structures, snapshot

HEXAGONAL = np.array([[3.0, 0.0, 0.0], [-1.5, 2.6, 0.0], [0.0, 0.0, 5.0]])


def copper() -> Atoms:
    return bulk("Cu", cubic=True)


def free_components(atoms: Atoms) -> np.ndarray:
    """(n_atoms, 3) bool, what the constraints let move, by trying."""
    moved = atoms.copy()
    moved.set_positions(atoms.positions + np.array([0.01, 0.02, 0.03]))
    return np.abs(moved.positions - atoms.positions) > 1e-6


def through_a_file(atoms: Atoms, folder) -> Atoms:
    atoms.calc = EMT()
    with (folder / "a.extxyz").open("w") as file:
        append_frame(file, folder / "a.extxyz", snapshot(atoms))
    return read_structures(str(folder / "a.extxyz"))[0]


@pytest.mark.parametrize(
    "constraints",
    [
        [FixAtoms([1, 2])],
        [FixCartesian(1, mask=(True, False, True))],
        [FixAtoms([0]), FixCartesian([1, 3], mask=(False, True, False))],
        [FixScaled(3, (True, False, True))],
        [FixScaled([0, 1], (True, True, True)), FixScaled(2, (False, True, False))],
        [FixedLine([1, 2], (0, 2, 0))],
        [FixedPlane([0, 3], (0, 0, -1))],
    ],
)
def test_what_may_move_is_the_same_after_writing_and_reading(tmp_path, constraints):
    atoms = copper()
    atoms.set_constraint(constraints)
    assert not lost_constraints([atoms], ["a.extxyz"])
    again = through_a_file(atoms, tmp_path)
    np.testing.assert_array_equal(free_components(again), free_components(atoms))


def test_scaled_coordinates_of_a_skewed_cell_are_written_where_they_lie_along_axes(tmp_path):
    atoms = Atoms("Cu2", [[0, 0, 0], [1.5, 0.9, 2.5]], cell=HEXAGONAL, pbc=True)
    atoms.set_constraint(FixScaled(1, (True, True, False)))
    np.testing.assert_array_equal(free_components(through_a_file(atoms, tmp_path))[1], [False, False, True])
    atoms.set_constraint(FixScaled(1, (True, False, True)))
    assert "FixScaled" in lost_constraints([atoms], ["a.extxyz"])


@pytest.mark.parametrize(
    "constraint",
    [
        FixBondLength(0, 1),
        FixedLine([0], (1, 1, 0)),
        FixedPlane([0], (1, 1, 0)),
        FixInternals(bonds=[[2.5, [0, 1]]]),
        Hookean(0, 1, 5.0, rt=2.0),
        FixCom(),
    ],
)
def test_what_cannot_be_written_is_named_with_the_file(constraint):
    atoms = copper()
    atoms.set_constraint([FixAtoms([3]), constraint])
    sentence = lost_constraints([atoms], ["a.extxyz"])
    assert type(constraint).__name__ in sentence
    assert "a.extxyz" in sentence
    assert "FixAtoms" not in sentence


def test_selective_dynamics_of_vasp_survive(tmp_path):
    atoms = copper()
    atoms.set_constraint([FixAtoms([0]), FixScaled(3, (True, False, True))])
    ase.io.write(tmp_path / "a.vasp", atoms, format="vasp")
    (again,) = read_structures(str(tmp_path / "a.vasp"))
    expected = [[False] * 3, [True] * 3, [True] * 3, [False, True, False]]
    np.testing.assert_array_equal(free_components(through_a_file(again, tmp_path)), expected)
