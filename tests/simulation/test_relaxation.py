"""Relaxations beside other routes to the same minimum: ASE's optimizers by hand, equations of state, symmetry."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from ase.optimize import BFGS

from equipot.errors import ConfigError, DataError
from equipot.properties.physics import equation_of_state
from equipot.simulation.relaxation import relax
from tests.models import random_rotation
from tests.springs import D, Springs


@pytest.fixture
def strained():
    """Copper under strain, its atoms displaced."""
    atoms = bulk("Cu", cubic=True, a=3.6)
    strain = np.array([[0.02, 0.01, 0.0], [0.01, -0.02, 0.0], [0.0, 0.0, 0.015]])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.05, seed=1)
    return atoms


def test_atoms_alone_reach_the_minimum_that_ase_finds(strained):
    by_hand = strained.copy()
    by_hand.calc = EMT()
    assert BFGS(by_hand, logfile=None).run(fmax=1e-4)
    found = relax(strained, EMT(), fmax=1e-4)
    assert found.converged
    assert found.end.energy == pytest.approx(by_hand.get_potential_energy(), abs=1e-7)
    np.testing.assert_array_equal(found.atoms.cell, strained.cell)
    assert strained.calc is None


@pytest.mark.parametrize("optimizer", ["LBFGS", "BFGS", "FIRE"])
def test_atoms_and_cell_reach_the_minimum_of_the_equation_of_state(strained, optimizer):
    found = relax(strained, EMT(), fmax=1e-3, smax=1e-3, cell="full", optimizer=optimizer)
    curve = equation_of_state(bulk("Cu", cubic=True, a=3.6), EMT(), np.linspace(-0.01, 0.01, 7))
    assert found.converged
    assert found.end.volume == pytest.approx(curve["volume"], rel=1e-4)
    assert found.end.energy == pytest.approx(curve["energy"], abs=1e-4)
    np.testing.assert_allclose(found.atoms.cell.angles(), 90, atol=0.05)


def test_under_pressure_the_volume_is_where_the_energy_has_that_slope(strained):
    found = relax(strained, EMT(), fmax=1e-3, smax=1e-3, cell="full", pressure=20.0)
    assert found.converged
    assert found.end.pressure == pytest.approx(20.0, abs=2e-3)
    side = found.end.volume ** (1 / 3)
    energies = []
    for step in (-1e-3, 1e-3):
        atoms = bulk("Cu", cubic=True, a=side + step)
        atoms.calc = EMT()
        energies.append((atoms.get_potential_energy(), atoms.get_volume()))
    slope = -(energies[1][0] - energies[0][0]) / (energies[1][1] - energies[0][1])
    assert slope / units.GPa == pytest.approx(20.0, abs=0.05)


def test_isotropic_relaxation_keeps_the_shape(strained):
    found = relax(strained, EMT(), cell="isotropic", fmax=1.0, smax=1e-3)  # the pressure must decide
    ratio = found.atoms.cell.array @ np.linalg.inv(strained.cell.array)
    np.testing.assert_allclose(ratio, ratio[0, 0] * np.eye(3), atol=1e-9)
    assert abs(found.end.pressure) < 1e-3
    assert abs(found.start.pressure) > 0.1


def test_at_constant_volume_only_the_shape_relaxes(strained):
    found = relax(strained, EMT(), cell="volume", fmax=1e-3, smax=1e-3)
    assert found.end.volume == pytest.approx(strained.get_volume(), rel=1e-6)
    stress = found.atoms.get_stress(voigt=False) / units.GPa
    np.testing.assert_allclose(stress - np.trace(stress) / 3 * np.eye(3), 0, atol=1e-3)
    assert abs(found.end.pressure) > 0.1


def test_in_the_plane_the_third_vector_stays(strained):
    found = relax(strained, EMT(), cell="xy", fmax=1e-3, smax=1e-3)
    np.testing.assert_allclose(found.atoms.cell[2], strained.cell[2], atol=1e-9)
    stress = found.atoms.get_stress(voigt=False) / units.GPa
    assert np.abs(stress[:2, :2]).max() < 1e-3
    assert abs(stress[2, 2]) > 0.1


def springs_in_a_plane(strain: np.ndarray, rotation: np.ndarray, tilt: float) -> Atoms:
    """A triangular lattice of springs under strain in its plane; its third vector is not perpendicular to it."""
    vectors = np.array([[D, 0, 0], [D / 2, np.sqrt(3) / 2 * D, 0], [tilt, -tilt / 2, 11.0]])
    atoms = Atoms("Ar", cell=vectors, pbc=(True, True, False)) * (2, 2, 1)
    atoms.cell[:2, :2] = atoms.cell[:2, :2] @ (np.eye(2) + strain)
    atoms.positions[:, :2] = atoms.positions[:, :2] @ (np.eye(2) + strain)
    atoms.rattle(0.02, seed=1)
    atoms.positions[:, 2] = 4.0
    atoms.set_cell(atoms.cell @ rotation)
    atoms.positions = atoms.positions @ rotation
    return atoms


@pytest.mark.parametrize("tilt", [0.0, 1.5])
@pytest.mark.parametrize("rotated", [False, True])
def test_a_strained_layer_returns_to_its_lattice_and_its_third_vector_stays(rotated, tilt):
    rotation = random_rotation(4) if rotated else np.eye(3)
    layer = springs_in_a_plane(np.array([[0.04, 0.02], [0.01, -0.03]]), rotation, tilt)
    found = relax(layer, Springs(), fmax=1e-5, smax=1e-5, cell="full")
    assert found.converged
    # Four triangular cells; the energy is 0 there alone, and 1e-5 GPa of a spring are less than 1e-6 of its length.
    np.testing.assert_allclose(found.atoms.cell.lengths()[:2], 2 * D, rtol=1e-5)
    assert found.atoms.cell.angles()[2] == pytest.approx(60, abs=1e-3)
    assert found.end.energy < 1e-8
    np.testing.assert_array_equal(found.atoms.cell[2], layer.cell[2])
    across = found.atoms.positions @ np.cross(*layer.cell[:2]) / np.linalg.norm(np.cross(*layer.cell[:2]))
    np.testing.assert_allclose(across, 4.0, atol=1e-9)


def test_a_layer_whose_shape_or_area_is_kept_relaxes_the_other_one():
    strain = np.array([[0.05, 0.02], [0.02, 0.01]])
    layer = springs_in_a_plane(strain, random_rotation(4), 0.5)
    lengths, volume = layer.cell.lengths(), layer.get_volume()
    same_area = relax(layer, Springs(), fmax=1e-4, smax=1e-5, cell="volume")
    assert same_area.converged
    assert same_area.end.volume == pytest.approx(volume, rel=1e-9)
    np.testing.assert_allclose(np.ptp(same_area.atoms.cell.lengths()[:2]), 0, atol=1e-4)
    assert abs(same_area.end.pressure) > 0.1
    same_shape = relax(layer, Springs(), fmax=1e-4, smax=1e-5, cell="isotropic")
    assert same_shape.converged
    assert abs(same_shape.end.pressure) < 1e-5
    ratio = same_shape.atoms.cell.lengths() / lengths
    assert ratio[0] == pytest.approx(ratio[1], abs=1e-9)
    assert ratio[0] < 0.99
    assert ratio[2] == 1


def test_a_chain_relaxes_along_itself_alone():
    chain = Atoms("Ar2", [[0, 0, 0], [0, 0.9 * D, 0]], cell=[15, 1.9 * D, 15], pbc=(False, True, False))
    found = relax(chain, Springs(), cell="full", fmax=1e-5, smax=1e-5)
    assert found.converged
    np.testing.assert_allclose(found.atoms.cell.lengths(), [15, 2 * D, 15], rtol=1e-6)


def test_under_pressure_a_layer_has_the_area_where_the_energy_has_that_slope():
    """dE/dV, where the volume changes with the area alone."""
    found = relax(
        springs_in_a_plane(np.zeros((2, 2)), np.eye(3), 0.0),
        Springs(),
        fmax=1e-5,
        smax=1e-5,
        cell="full",
        pressure=2.0,
    )
    # An atom has three springs of length r, and a cell of height h the volume √3/2 r² h: 3 k (r - d) = -p √3 r h.
    p, h = 2.0 * units.GPa, 11.0
    r = 3 * found.atoms.calc.k * D / (3 * found.atoms.calc.k + np.sqrt(3) * p * h)
    np.testing.assert_allclose(found.atoms.cell.lengths()[:2], 2 * r, rtol=1e-5)


def test_a_slab_of_copper_has_the_lattice_of_the_one_with_periodic_vacuum():
    slab = fcc111("Cu", (1, 1, 4), a=3.55, vacuum=6.0)
    slab.rattle(0.02, seed=1)
    periodic = slab.copy()
    periodic.pbc = True
    layer = relax(slab, EMT(), cell="full", fmax=1e-4, smax=1e-4)
    other = relax(periodic, EMT(), cell="xy", fmax=1e-4, smax=1e-4)
    assert layer.converged
    assert other.converged
    np.testing.assert_allclose(layer.atoms.cell, other.atoms.cell, atol=2e-4)
    assert layer.end.energy == pytest.approx(other.end.energy, abs=1e-6)
    assert abs(layer.start.pressure) > 1.0
    assert abs(layer.end.pressure) < 1e-4


def test_fixed_atoms_stay(strained):
    strained.set_constraint(FixAtoms([0, 2]))
    found = relax(strained, EMT())
    np.testing.assert_array_equal(found.atoms.positions[[0, 2]], strained.positions[[0, 2]])
    assert found.converged
    assert np.abs(found.atoms.positions[1] - strained.positions[1]).max() > 1e-3
    assert found.atoms.constraints


def test_the_space_group_is_kept_where_asked():
    """Body-centred copper is no minimum; displaced a little it falls down, unless it must keep its symmetry."""
    spglib = pytest.importorskip("spglib")
    atoms = bulk("Cu", "bcc", a=2.87, cubic=True) * (2, 2, 2)
    atoms.rattle(0.003, seed=1)

    def group(a: Atoms) -> str:
        return spglib.get_spacegroup((a.cell.array, a.get_scaled_positions(), a.numbers), symprec=0.01)

    kept = relax(atoms, EMT(), cell="full", fmax=1e-3, symmetry=True)
    free = relax(atoms, EMT(), cell="full", fmax=1e-3, steps=60)
    assert kept.converged
    assert group(kept.atoms) == "Im-3m (229)"
    assert group(free.atoms) != "Im-3m (229)"
    assert free.end.energy < kept.end.energy - 1e-3
    assert not kept.atoms.constraints


def test_a_molecule_and_an_atom_relax_without_a_cell():
    found = relax(molecule("N2"), EMT(), fmax=1e-3)
    assert found.converged
    assert found.end.volume is None
    alone = relax(Atoms("Ar"), LennardJones())
    assert alone.converged
    assert (alone.end.step, alone.end.fmax) == (0, 0.0)


def test_every_step_is_reported_and_the_last_is_the_end(strained):
    seen = []
    found = relax(strained, EMT(), steps=5, each_step=lambda state, atoms: seen.append(state))
    assert not found.converged
    assert [state.step for state in seen] == [0, 1, 2, 3, 4, 5]
    assert seen[0] == found.start
    assert seen[-1] == found.end
    assert found.end.energy < found.start.energy


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"fmax": 0.0}, ConfigError, "fmax is 0"),
        ({"smax": float("nan"), "cell": "full"}, ConfigError, "smax is nan"),
        ({"pressure": 5.0}, ConfigError, "cannot follow it"),
        ({"pressure": float("inf"), "cell": "full"}, ConfigError, "pressure is inf"),
        ({"cell": "half"}, ConfigError, "expected one of none, full"),
        ({"optimizer": "Newton"}, ConfigError, "expected one of LBFGS"),
        ({"steps": -1}, ConfigError, "number of steps is -1"),
    ],
)
def test_options_without_sense_are_errors(strained, options, kind, words):
    with pytest.raises(kind, match=words):
        relax(strained, EMT(), **options)


def test_cells_that_cannot_relax_are_errors():
    with pytest.raises(DataError, match=r"has no volume.*use --cell none"):
        relax(molecule("N2"), EMT(), cell="full")
    in_a_box = molecule("N2", vacuum=5.0)
    with pytest.raises(DataError, match=r"has no volume.*one periodic direction"):
        relax(in_a_box, EMT(), cell="full")
    in_a_box.pbc = (True, False, True)
    with pytest.raises(DataError, match="not periodic in this plane; use --cell full"):
        relax(in_a_box, EMT(), cell="xy")
    with pytest.raises(DataError, match="holds no atoms"):
        relax(Atoms(), EMT())
    with pytest.raises(DataError, match="only a crystal has a space group"):
        relax(molecule("N2"), EMT(), symmetry=True)
