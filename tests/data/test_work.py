"""The work of labels along a step, beside the energies of a potential whose derivatives they are."""

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.calculators.lj import LennardJones

from equipot.data.checks.work import similar_pairs
from equipot.structures.frame import Frame
from tests import copper


def frame(strain: np.ndarray, moved: np.ndarray) -> Frame:
    """A crystal under tension, strained further, its scaled positions moved, with labels that fit exactly."""
    atoms = bulk("Cu", cubic=True, a=3.8)
    scaled = atoms.get_scaled_positions() + 0.04 * np.sin(np.arange(12)).reshape(4, 3) + moved
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain))
    atoms.set_scaled_positions(scaled)
    atoms.calc = LennardJones(sigma=2.3, epsilon=0.3, rc=6.0, ro=4.0, smooth=True)
    frame = Frame(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
    return frame.relabelled(
        energy=atoms.get_potential_energy(), forces=atoms.get_forces(), stress=atoms.get_stress(voigt=False)
    )


@pytest.mark.parametrize(
    ("strained", "moved"), [(1, 1), (1, 0), (0, 1)], ids=["cell and atoms", "cell", "atoms"]
)
def test_the_work_along_a_step_misses_the_energy_by_its_third_order(strained, moved):
    # Half the step leaves an eighth of the error; a rule of second order would leave a quarter.
    rng = np.random.default_rng(3)
    strain = strained * np.array([[0.03, 0.0, 0.01], [0.0, 0.02, 0.0], [0.0, 0.01, 0.02]])
    change = 0.012 * moved * rng.standard_normal((4, 3))
    errors = []
    for step in (0.2, 0.1, 0.05):
        pairs = similar_pairs(
            [frame(np.zeros((3, 3)), np.zeros((4, 3))), frame(step * strain, step * change)]
        )
        (error,) = pairs.difference - pairs.of_forces - pairs.of_stress
        errors.append(abs(error))
    assert errors[0] / errors[1] > 6
    assert errors[1] / errors[2] > 6


def test_a_layer_expands_by_its_strain_and_not_by_its_vacuum():
    atoms = fcc111("Cu", (1, 1, 2), vacuum=5.0)
    strained = atoms.copy()
    strained.set_cell(atoms.cell @ np.diag([1.01, 0.995, 1.0]), scale_atoms=True)
    strained.cell[2] *= 2
    pairs = similar_pairs([copper.labelled(atoms), copper.labelled(strained)])
    (expansion,) = pairs.expansion
    assert expansion == pytest.approx((1.01 * 0.995 - 1) * atoms.get_volume(), rel=1e-9)
