"""Named outputs, and forces and virial of a term that reads positions and cell: against finite differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_stress

from equipot.calculators import EquipotCalculator
from equipot.contract import Inputs
from equipot.model_file import load_model, write_model
from equipot.network.derivatives import energies_of, predict
from tests.models import energy, make_potential, model_input, random_atoms
from tests.outputs import WithCharges, WithFurtherOutputs, changed


@pytest.mark.parametrize("pbc", [True, False, (True, False, True)])
def test_forces_of_a_term_beyond_the_edges_are_minus_the_energy_gradient(pbc):
    potential, atoms = changed(WithCharges), random_atoms(5, pbc=pbc)
    forces = predict(potential, model_input(potential, atoms)).forces.numpy()
    without = predict(changed(type(potential).__mro__[1]), model_input(potential, atoms)).forces.numpy()
    assert np.abs(forces - without).max() > 0.01
    step = 1e-4
    for i, k in ((0, 0), (3, 2), (4, 1)):
        sides = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[i, k] += sign * step
            sides.append(energy(potential, moved))
        assert forces[i, k] == pytest.approx(-(sides[0] - sides[1]) / (2 * step), abs=1e-6)


def test_the_virial_of_a_term_beyond_the_edges_is_minus_the_strain_derivative():
    potential, atoms = changed(WithCharges), random_atoms(5)
    virial = predict(potential, model_input(potential, atoms)).virial[0].numpy()
    step = 1e-5
    for a, b in ((0, 0), (1, 2), (2, 2)):
        sides = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[a, b] += 0.5 * sign * step
            strain[b, a] += 0.5 * sign * step
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            sides.append(energy(potential, strained))
        assert virial[a, b] == pytest.approx(-(sides[0] - sides[1]) / (2 * step), abs=1e-5)


def test_a_batch_of_terms_beyond_the_edges_gives_what_single_structures_give():
    potential = changed(WithCharges)
    single = [model_input(potential, random_atoms(n, seed=n, pbc=n > 3)) for n in (3, 5)]
    a, b = single
    batch = Inputs(
        torch.cat([a.species, b.species]),
        torch.cat([a.edge_index, b.edge_index + 3], dim=1),
        torch.cat([a.edge_vectors, b.edge_vectors]),
        torch.cat([a.positions, b.positions]),
        torch.cat([a.cell, b.cell]),
        torch.cat([a.pbc, b.pbc]),
        torch.tensor([0] * 3 + [1] * 5),
    )
    together, alone = predict(potential, batch), [predict(potential, s) for s in single]
    torch.testing.assert_close(together.forces, torch.cat([p.forces for p in alone]))
    torch.testing.assert_close(together.virial, torch.cat([p.virial for p in alone]))


def test_a_loss_on_forces_reaches_what_a_term_beyond_the_edges_depends_on():
    potential = changed(WithCharges)
    p = predict(potential, model_input(potential, random_atoms(4)), create_graph=True)
    p.forces.square().sum().backward()
    assert all(w.grad is not None for w in potential.parameters() if w.numel())


def test_further_outputs_survive_the_file_and_reach_ase(tmp_path):
    potential, atoms = changed(WithFurtherOutputs), random_atoms(6)
    model = load_model(write_model(tmp_path / "m.pt", potential, verify=False))
    inputs = model_input(potential, atoms)
    expected = energies_of(potential, inputs)
    assert set(expected) == {"energies", "size", "pair"}
    atoms.calc = EquipotCalculator(model)
    atoms.get_forces()
    for name, value in expected.items():
        torch.testing.assert_close(predict(model.module, inputs).outputs[name], value)
        np.testing.assert_allclose(
            {**atoms.calc.results, **atoms.calc.outputs}[name], value.numpy(), atol=1e-12
        )


def test_the_calculator_computes_what_was_asked_for(tmp_path):
    potential, atoms = changed(WithFurtherOutputs), random_atoms(6)
    atoms.calc = EquipotCalculator(write_model(tmp_path / "m.pt", potential, verify=False))
    before = atoms.get_potential_energy()
    assert "forces" not in atoms.calc.results
    atoms.get_forces()
    assert "stresses" not in atoms.calc.results
    assert atoms.get_potential_energy() == before
    np.testing.assert_allclose(atoms.get_stresses().sum(0), atoms.get_stress(), atol=1e-12)
    expected = calculate_numerical_stress(atoms, eps=1e-5)
    np.testing.assert_allclose(atoms.get_stress(), expected, atol=1e-7)


def test_a_term_beyond_the_edges_reaches_ase_and_has_no_per_atom_stresses(tmp_path):
    plain, atoms = make_potential(seed=3), random_atoms(5)
    model = load_model(write_model(tmp_path / "m.pt", plain, verify=False))
    charged = changed(WithCharges)
    model = replace(model, runtime=None)
    vars(model)["module"] = charged
    atoms.calc = EquipotCalculator(model)
    expected = predict(charged, model_input(charged, atoms))
    np.testing.assert_allclose(atoms.get_forces(), expected.forces.numpy(), atol=1e-12)
    stress = calculate_numerical_stress(atoms, eps=1e-5)
    np.testing.assert_allclose(atoms.get_stress(), stress, atol=1e-7)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stresses()
