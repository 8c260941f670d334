"""torch-sim's own validation of a model, and its results against the ASE calculator."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.optimize import FIRE

from equipot.calculators import EquipotCalculator
from equipot.errors import NumericsError, UnknownSpeciesError
from equipot.model_file import load_model, write_model
from equipot.network.variants import with_grade
from tests.models import make_potential, random_atoms

ts = pytest.importorskip("torch_sim", reason="torch-sim is not installed (torch-sim-atomistic)")
CPU, ELEMENTS = torch.device("cpu"), ("H", "C", "O", "Mg", "Si", "Fe")
STEPS, CONVERGED = 500, 1e-4  # eV/Å


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    potential = make_potential(seed=3, species=ELEMENTS, repulsion="zbl")
    return write_model(tmp_path_factory.mktemp("models") / "model.pt", potential, verify=False)


@pytest.fixture(scope="module", params=["runtime", "torch"])
def loaded(request, path):
    return load_model(path, engine_name=request.param)


@pytest.fixture
def model(loaded):
    from equipot.torchsim import EquipotModel

    return EquipotModel(loaded)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_torch_sims_own_validation_passes(path, dtype):
    from torch_sim.models.interface import validate_model_outputs

    from equipot.torchsim import EquipotModel

    validate_model_outputs(EquipotModel(path, dtype=dtype), CPU, dtype)


@pytest.mark.parametrize("pbc", [True, False])
def test_results_of_a_batch_are_those_of_the_calculator(model, pbc):
    structures = [random_atoms(1 + k, seed=k, pbc=pbc, species=ELEMENTS) for k in range(7)]
    state = ts.io.atoms_to_state(structures, CPU, torch.float64)
    results = model(state)
    atoms_of = [state.system_idx == k for k in range(len(structures))]
    for k, atoms in enumerate(structures):
        atoms.calc = EquipotCalculator(model.model)
        scale = max(1.0, abs(atoms.get_potential_energy()))
        assert float(results["energy"][k]) == pytest.approx(atoms.get_potential_energy(), abs=1e-12 * scale)
        # ZBL's repulsion of close atoms has large terms.
        forces = atoms.get_forces()
        np.testing.assert_allclose(
            results["forces"][atoms_of[k]], forces, rtol=0, atol=1e-12 * max(1.0, np.abs(forces).max())
        )
        energies = results["energies"][atoms_of[k]]
        np.testing.assert_allclose(energies, atoms.get_potential_energies(), rtol=0, atol=1e-12 * scale)
        if pbc:
            np.testing.assert_allclose(
                results["stress"][k], atoms.get_stress(voigt=False), rtol=1e-11, atol=1e-12
            )
        else:
            assert results["stress"][k].isnan().all()
    assert all(value.dtype == torch.float64 for value in results.values())


def test_a_batch_of_50_structures_relaxes_to_where_ase_relaxes_each_of_them(path):
    """Compressed crystals, whose repulsion has one minimum: FIRE of torch-sim and ASE take slightly other steps."""
    from equipot.torchsim import EquipotModel

    structures = []
    for k in range(50):
        a = 1.7 * 2**0.5 * (1 + 0.002 * k)
        atoms = bulk(("Si", "Fe", "Mg")[k % 3], "fcc", a=a, cubic=True).repeat((1 + k % 2, 1, 1))
        atoms.rattle(0.05, seed=k)
        structures.append(atoms)
    relaxed = ts.optimize(
        structures,
        EquipotModel(path),
        optimizer=ts.Optimizer.fire if hasattr(ts, "Optimizer") else ts.optimizers.fire,
        convergence_fn=ts.generate_force_convergence_fn(CONVERGED, include_cell_forces=False),
        max_steps=STEPS,
    )
    calculator = EquipotCalculator(path)
    moved = []
    for atoms, system, energy in zip(structures, relaxed.split(), relaxed.energy, strict=True):
        start = atoms.positions.copy()
        atoms.calc = calculator
        assert FIRE(atoms, logfile=None).run(fmax=CONVERGED, steps=STEPS)
        moved.append(np.abs(atoms.positions - start).max())
        # Both stop at forces below 1e-4 eV/Å, and the springs of these crystals have some 50 eV/Å².
        np.testing.assert_allclose(system.positions, atoms.positions, rtol=0, atol=2e-5)
        assert float(energy) == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
    assert min(moved) > 0.02


def test_a_state_may_be_a_dictionary_and_its_cells_have_columns(model):
    atoms = random_atoms(5)
    values = {
        "positions": torch.from_numpy(atoms.positions),
        "cell": torch.from_numpy(atoms.cell.array.T.copy())[None],
        "atomic_numbers": torch.from_numpy(atoms.numbers),
        "pbc": True,
    }
    atoms.calc = EquipotCalculator(model.model)
    np.testing.assert_allclose(model(values)["forces"], atoms.get_forces(), rtol=0, atol=1e-10)


def test_grades_are_among_the_results(tmp_path):
    from equipot.torchsim import EquipotModel

    potential = make_potential(seed=3)
    d = potential.read.width
    graded = with_grade(potential, torch.zeros(2, d), torch.eye(d).reshape(1, -1).repeat(2, 1), torch.ones(2))
    model = EquipotModel(write_model(tmp_path / "graded.pt", graded, verify=False))
    atoms = random_atoms(4)
    gamma = model(ts.io.atoms_to_state([atoms, atoms], CPU, torch.float64))["gamma"]
    atoms.calc = EquipotCalculator(model.model)
    atoms.calc.warns = False
    atoms.get_potential_energy()
    np.testing.assert_allclose(gamma, np.tile(atoms.calc.outputs["gamma"], 2), rtol=1e-10)


def test_errors_name_the_system(model):
    good, lost = random_atoms(3), random_atoms(3)
    lost.positions[1, 0] = np.nan
    with pytest.raises(UnknownSpeciesError, match="system 1 holds Au"):
        model(ts.io.atoms_to_state([good, Atoms("Au", cell=[9, 9, 9], pbc=True)], CPU, torch.float64))
    with pytest.raises(NumericsError, match="system 2: the position of atom 1 is not finite"):
        model(ts.io.atoms_to_state([good, good, lost], CPU, torch.float64))


def test_molecular_dynamics_conserves_the_energy(model):
    """NVE of two systems together: the total energy of each is that of the start."""
    structures = [bulk("Fe", "fcc", a=2.6, cubic=True), bulk("Mg", "fcc", a=2.7, cubic=True)]
    for k, atoms in enumerate(structures):
        atoms.rattle(0.02, seed=k)
    start = model(ts.io.atoms_to_state(structures, CPU, torch.float64))["energy"]
    integrator = ts.Integrator.nve if hasattr(ts, "Integrator") else ts.nve
    end = ts.integrate(
        structures, model, integrator=integrator, n_steps=100, temperature=1e-3, timestep=0.0002
    )
    kinetic = ts.calc_kinetic_energy(masses=end.masses, momenta=end.momenta, system_idx=end.system_idx)
    assert (end.energy - start).abs().min() > 1e-2
    # The error of velocity Verlet with 0.2 fs.
    torch.testing.assert_close(end.energy + kinetic, start, rtol=0, atol=2e-3)


def test_a_molecule_is_computed_without_a_cell(model):
    atoms = molecule("SiO")
    results = model(ts.io.atoms_to_state([atoms], CPU, torch.float64))
    atoms.calc = EquipotCalculator(model.model)
    assert float(results["energy"][0]) == pytest.approx(atoms.get_potential_energy(), abs=1e-12)


@pytest.mark.parametrize("name", ["si_sim_state", "rattled_sio2_sim_state"])  # ASE has no stress of molecules
def test_torch_sims_own_comparison_with_a_calculator_passes(model, name):
    testing = pytest.importorskip("torch_sim.testing", reason="torch-sim before 0.6 has no such helper")
    state = testing.SIMSTATE_GENERATORS[name](CPU, torch.float64)
    testing.assert_model_calculator_consistency(model, EquipotCalculator(model.model), state)
