"""The calculator against finite differences, the eager potential, and ASE's own drivers."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.filters import FrechetCellFilter
from ase.md.verlet import VelocityVerlet
from ase.mep import NEB
from ase.optimize import BFGS

from equipot.calculators import EquipotCalculator
from equipot.errors import DataError, ModelFileError, NumericsError, UnknownSpeciesError
from equipot.model_file import load_model, write_model
from tests.models import energy, make_potential, random_atoms

MIXED = [True, False, (True, True, False), (False, False, True)]


@pytest.mark.parametrize("pbc", MIXED)
def test_energy_is_the_potentials_and_forces_are_its_gradient(potential, calculator, pbc):
    atoms = random_atoms(5, pbc=pbc)
    atoms.calc = calculator
    assert atoms.get_potential_energy() == pytest.approx(energy(potential, atoms), abs=1e-10)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
    forces = atoms.get_forces().copy()
    np.testing.assert_allclose(forces, calculate_numerical_forces(atoms, eps=1e-5), atol=1e-6)


def test_stress_is_the_strain_derivative_and_the_atoms_shares_sum_to_it(calculator):
    atoms = random_atoms(5)
    atoms.calc = calculator
    stress = atoms.get_stress()
    np.testing.assert_allclose(stress, calculate_numerical_stress(atoms, eps=1e-5), atol=1e-7)
    shares = atoms.get_stresses()
    assert shares.shape == (5, 6)
    np.testing.assert_allclose(shares.sum(axis=0), stress, atol=1e-12)


def test_either_atom_of_a_pair_has_half_of_its_stress(calculator):
    """In a cell with one pair, whatever the model says, both atoms have the same share."""
    atoms = Atoms("SiO", [[0, 0, 0], [0.9, 0.5, 1.1]], cell=[20, 20, 20], pbc=True, calculator=calculator)
    shares = atoms.get_stresses()
    assert np.abs(shares).max() > 1e-7
    np.testing.assert_allclose(shares[0], shares[1], atol=1e-14)


def strain_derivative(atoms: Atoms, i: int, k: int, eps: float = 1e-3) -> float:
    """dE/dε_ik over the cell's volume, by central differences of fourth order."""
    energies = []
    for step in (-2, -1, 1, 2):
        strain = np.eye(3)
        strain[i, k] += 0.5 * step * eps
        strain[k, i] += 0.5 * step * eps
        strained = atoms.copy()
        strained.set_cell(atoms.cell @ strain, scale_atoms=True)
        strained.calc = atoms.calc
        energies.append(strained.get_potential_energy())
    return float(np.dot(energies, [1, -8, 8, -1])) / (12 * eps) / atoms.get_volume()


@pytest.mark.parametrize(
    "pbc", [(True, True, False), (True, False, True), (False, False, True), (True, True, True)]
)
def test_the_stress_of_a_cell_with_a_volume_is_the_strain_derivative_over_it(calculator, pbc):
    atoms = random_atoms(5, seed=1, pbc=pbc)
    atoms.calc = calculator
    stress = atoms.get_stress(voigt=False).copy()
    differences = [[strain_derivative(atoms, i, k) for k in range(3)] for i in range(3)]
    assert np.abs(differences).max() > 1e-3
    # The differences are wrong by the fourth power of a step of 1e-3 and by rounding, 1e-14 eV over the step.
    np.testing.assert_allclose(stress, differences, atol=1e-8)
    np.testing.assert_allclose(atoms.get_stresses().sum(axis=0), atoms.get_stress(), atol=1e-12)


def test_a_layer_has_the_stress_of_the_crystal_with_the_same_vacuum(calculator):
    layer = random_atoms(6, pbc=True)
    layer.center(vacuum=4.0, axis=2)
    layer.calc = calculator
    stress = layer.get_stress().copy()
    layer.pbc = (True, True, False)
    np.testing.assert_allclose(layer.get_stress(), stress, atol=1e-12)
    layer.cell[2] *= 2  # the same force per length of the plane, over twice the volume
    np.testing.assert_allclose(layer.get_stress(), stress / 2, atol=1e-12)


@pytest.mark.parametrize("without", ["periodicity", "third vector", "independent vectors"])
def test_without_a_volume_there_is_no_stress(calculator, without):
    atoms = random_atoms(4, pbc=False if without == "periodicity" else (True, True, False))
    if without == "third vector":
        atoms.cell[2] = 0.0
    elif without == "independent vectors":
        atoms.cell[2] = atoms.cell[0] / 3 - atoms.cell[1]
    atoms.calc = calculator
    for stress in (atoms.get_stress, atoms.get_stresses):
        with pytest.raises(PropertyNotImplementedError):
            stress()
    assert np.isfinite(atoms.get_potential_energy())


def test_a_float32_model_has_forces_of_its_precision(tmp_path):
    potential = make_potential(seed=3, dtype="float32")
    atoms = random_atoms(5)
    reference = make_potential(seed=3)
    atoms.calc = EquipotCalculator(write_model(tmp_path / "m.pt", potential, verify=False))
    # The same weights in double precision; float32 keeps about seven digits of a sum of hundreds of terms.
    assert atoms.get_potential_energy() == pytest.approx(energy(reference, atoms), abs=1e-4)
    forces = atoms.get_forces().copy()
    assert forces.dtype == np.float64
    atoms.calc = EquipotCalculator(write_model(tmp_path / "r.pt", reference, verify=False))
    np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-3)


def test_no_atoms_and_one_atom(potential, calculator):
    nothing = Atoms(calculator=calculator)
    assert nothing.get_potential_energy() == 0.0
    assert nothing.get_forces().shape == (0, 3)
    lone = Atoms("O", cell=[30, 30, 30], pbc=True, calculator=calculator)
    assert lone.get_potential_energy() == float(potential.e0[1])
    assert lone.get_forces().tolist() == [[0.0, 0.0, 0.0]]
    assert not lone.get_stress().any()


def test_an_atom_that_is_its_own_neighbour(potential, calculator):
    atoms = bulk("Si", a=3.9)[:1]
    atoms.calc = calculator
    assert atoms.get_potential_energy() == pytest.approx(energy(potential, atoms), abs=1e-10)
    np.testing.assert_allclose(atoms.get_stress(), calculate_numerical_stress(atoms, eps=1e-5), atol=1e-6)


def test_an_unknown_element_is_named_before_any_number(calculator):
    atoms = Atoms("SiGe", [[0, 0, 0], [0, 0, 2.3]], calculator=calculator)
    with pytest.raises(UnknownSpeciesError, match=r"Ge.*only Si, O"):
        atoms.get_potential_energy()
    assert calculator.results == {}


def test_positions_that_are_not_finite_are_an_error_each_time(calculator):
    atoms = random_atoms(3)
    atoms.calc = calculator
    atoms.get_potential_energy()
    atoms.positions[1, 2] = np.nan
    for _ in range(2):
        with pytest.raises(NumericsError, match="position of atom 1 is not finite"):
            atoms.get_forces()
    atoms.positions[1, 2] = 0.3
    assert np.isfinite(atoms.get_potential_energy())


def test_a_flat_periodic_cell_is_an_error(calculator):
    atoms = Atoms("Si", cell=[5, 5, 0], pbc=[True, True, True], calculator=calculator)
    with pytest.raises(DataError, match="cell"):
        atoms.get_potential_energy()


def test_results_that_are_not_finite_name_the_closest_atoms(potential, tmp_path):
    broken = copy.deepcopy(potential)
    model = load_model(write_model(tmp_path / "m.pt", broken, verify=False), engine_name="torch")
    for parameter in model.module.parameters():
        parameter.data.fill_(float("nan"))
    for name, buffer in model.module.named_buffers():
        if name.endswith("table"):
            buffer.fill_(float("nan"))
    atoms = Atoms("SiO", [[0, 0, 0], [0, 0, 1.5]], calculator=EquipotCalculator(model))
    with pytest.raises(
        NumericsError, match=r"energy is not finite; the closest atoms, 0 and 1, are 1.5 Å apart"
    ):
        atoms.get_potential_energy()


def test_results_do_not_depend_on_what_was_computed_before(model):
    """A calculator that wanders through structures, cells and periodicities says what a new one says."""
    wandering = EquipotCalculator(model)
    rng = np.random.default_rng(5)
    atoms = random_atoms(6)
    for step in range(25):
        if step % 6 == 5:
            atoms = random_atoms(int(rng.integers(1, 7)), seed=step, pbc=MIXED[step % 4])
        atoms.positions += rng.normal(0, 0.03, atoms.positions.shape)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.01, (3, 3))), scale_atoms=True)
        atoms.calc = wandering
        e, f = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = EquipotCalculator(model, skin=0.0)
        assert e == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
        np.testing.assert_allclose(f, atoms.get_forces(), atol=1e-9)
    assert wandering.neighbours.n_searches < 25


def test_copies_and_pickles_give_the_same_numbers(calculator):
    atoms = random_atoms(4)
    atoms.calc = calculator
    expected = atoms.get_forces().copy()
    twin = copy.deepcopy(calculator)
    assert twin.model is calculator.model
    assert twin.neighbours is not calculator.neighbours
    back = pickle.loads(pickle.dumps(atoms))
    np.testing.assert_array_equal(back.calc.results["forces"], expected)
    for calc in (twin, back.calc):
        moved = atoms.copy()
        moved.positions[0] += 0.01
        moved.calc = calc
        other = moved.copy()
        other.calc = calculator
        np.testing.assert_allclose(moved.get_forces(), other.get_forces(), atol=1e-12)


def test_a_pickle_whose_model_file_was_replaced_is_refused(tmp_path):
    path = write_model(tmp_path / "m.pt", make_potential(seed=1), verify=False)
    pickled = pickle.dumps(EquipotCalculator(path))
    write_model(path, make_potential(seed=2), verify=False)
    with pytest.raises(ModelFileError, match="is not the model this calculator was pickled with"):
        pickle.loads(pickled)


def test_a_variable_cell_relaxation_brings_stress_and_forces_to_zero(tmp_path):
    # ZBL makes a random network a potential with a floor.
    potential = make_potential(seed=2, repulsion="zbl", n_layers=1)
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.2, seed=1)
    atoms.calc = EquipotCalculator(write_model(tmp_path / "m.pt", potential, verify=False), skin=0.5)
    before = atoms.get_potential_energy()
    optimizer = BFGS(FrechetCellFilter(atoms), logfile=None, maxstep=0.1)
    converged = optimizer.run(fmax=0.1, steps=100)
    assert converged
    assert atoms.get_potential_energy() < before
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.12
    # The filter divides the virial by the number of atoms before it compares it with fmax.
    assert np.abs(atoms.get_stress() * atoms.get_volume()).max() < 0.1 * len(atoms)
    assert atoms.calc.neighbours.n_searches < optimizer.nsteps


def test_images_of_a_band_may_share_the_calculator(model):
    shared = EquipotCalculator(model)
    first, last = random_atoms(4), random_atoms(4)
    last.positions[0] += [0.3, 0.2, 0.0]
    images = [first, first.copy(), first.copy(), last]
    band = NEB(images, allow_shared_calculator=True, method="improvedtangent")
    band.interpolate()
    for image in images:
        image.calc = shared
    forces = band.get_forces()
    alone = NEB([i.copy() for i in images], method="improvedtangent")
    for image in alone.images:
        image.calc = EquipotCalculator(model)
    np.testing.assert_allclose(forces, alone.get_forces(), atol=1e-10)


def test_dynamics_at_constant_energy_conserve_it(tmp_path):
    potential = make_potential(seed=2, repulsion="zbl")
    atoms = bulk("Si", cubic=True)
    atoms.calc = EquipotCalculator(write_model(tmp_path / "m.pt", potential, verify=False), skin=0.4)
    BFGS(atoms, logfile=None, maxstep=0.1).run(fmax=0.5, steps=50)
    spread = np.sqrt(units.kB * 600 * atoms.get_masses())[:, None]
    atoms.set_momenta(spread * np.random.default_rng(0).normal(size=(len(atoms), 3)))
    dynamics = VelocityVerlet(atoms, 0.25 * units.fs)
    start, searches = atoms.get_total_energy(), atoms.calc.neighbours.n_searches
    drift, kinetic = [], []
    for _ in range(150):
        dynamics.run(1)
        drift.append(atoms.get_total_energy() - start)
        kinetic.append(atoms.get_kinetic_energy())
    assert np.abs(drift).max() < 0.02 * np.mean(kinetic)
    assert np.ptp(kinetic) > 10 * np.abs(drift).max()
    assert atoms.calc.neighbours.n_searches - searches < 75


def test_unknown_keywords_are_refused_with_the_known_ones(path):
    with pytest.raises(TypeError, match="'devise'; did you mean 'device'"):
        EquipotCalculator(path, devise="cpu")
    with pytest.raises(TypeError, match=r"'dtype'.* expected one of model, device, skin"):
        EquipotCalculator(path, dtype="float64")
    with pytest.raises(TypeError, match="'modal'"):
        EquipotCalculator(path).set(modal="PBE")


def test_setting_the_skin_acts_and_changes_no_number(calculator):
    atoms = random_atoms(5)
    atoms.calc = calculator
    forces = atoms.get_forces()
    calculator.set(skin=0.3)
    assert calculator.neighbours.skin == 0.3
    np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-12)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_forces_are_right_where_torch_keeps_no_gradients(path, mode):
    atoms = random_atoms(5)
    atoms.calc = EquipotCalculator(path)
    expected = atoms.get_forces()
    with mode():
        atoms.calc = EquipotCalculator(path)
        np.testing.assert_array_equal(atoms.get_forces(), expected)
    atoms.rattle(0.01)
    moved = atoms.get_forces()
    atoms.calc = EquipotCalculator(path)
    np.testing.assert_allclose(moved, atoms.get_forces(), atol=1e-12)


FORK = """
import multiprocessing, sys, numpy, torch
from ase.build import bulk
from equipot.calculators import EquipotCalculator

torch.set_num_threads(2)
atoms = bulk("Si", cubic=True) * (3, 3, 3)
atoms.rattle(0.05, seed=1)
atoms.calc = EquipotCalculator(sys.argv[1])

def forces(k):
    moved = atoms.copy()
    moved.positions[0] += 0.01 * k
    moved.calc = atoms.calc
    return moved.get_forces()

expected = [forces(k) for k in range(4)]
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(max(numpy.abs(a - b).max() for a, b in zip(pool.map(forces, range(4)), expected)))
"""


def test_forked_processes_give_the_numbers_of_their_parent(path):
    """Without care they hang, because the threads of OpenMP are not forked."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 1e-10


def test_python_that_makes_errors_of_warnings_runs_a_model(path):
    code = """
import sys
from ase.build import bulk
from equipot.calculators import EquipotCalculator
atoms = bulk("Si", cubic=True)
atoms.calc = EquipotCalculator(sys.argv[1])
print(atoms.get_potential_energy())
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code, path], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-1500:]
    assert np.isfinite(float(run.stdout))


def test_a_failed_calculation_leaves_no_results_of_an_earlier_structure(potential, tmp_path):
    calculator = EquipotCalculator(write_model(tmp_path / "m.pt", potential, verify=False))
    atoms = random_atoms(4)
    calculator.calculate(atoms, ["forces"])
    assert "forces" in calculator.results
    atoms.positions[0] = np.nan
    with pytest.raises(NumericsError):
        calculator.calculate(atoms, ["forces"])
    assert calculator.results == {}


def test_both_engines_give_the_same_results_and_an_unknown_one_is_an_error(path):
    atoms, results = random_atoms(7), []
    for engine in ("runtime", "torch"):
        atoms.calc = EquipotCalculator(path, engine=engine)
        assert (atoms.calc.model.runtime is None) == (engine == "torch")
        results.append([atoms.get_potential_energies(), atoms.get_forces(), atoms.get_stress()])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, atol=1e-12 * max(1.0, np.abs(b).max()))
    with pytest.raises(ValueError, match="engine is 'fast'; expected one of runtime, torch"):
        EquipotCalculator(path, engine="fast")
