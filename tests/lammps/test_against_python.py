"""LAMMPS on several ranks gives what Python gives on one."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from equipot.data.neighbours import neighbour_list
from equipot.derivatives import Prediction, predict
from equipot.potential import Potential
from tests.lammps.conftest import SPECIES
from tests.lammps.running import Measured, good, lmp, measure, measured, setup, write_data
from tests.lammps.structures import cases

torch = pytest.importorskip("torch")
CASES = cases()
VOIGT = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])
# Sums in another order: rounding of numbers of size 100 in float64.
EXACT = {"rtol": 0, "atol": 1e-10}


def python(potential: Potential, atoms: Atoms) -> Prediction:
    species = np.array([SPECIES.index(s) for s in atoms.symbols], dtype=np.int64)
    edge_index, _, vectors = neighbour_list(
        atoms.positions,
        np.asarray(atoms.cell),
        atoms.pbc,
        potential.cutoff,
        species=species,
        pair_cutoffs=potential.pair_cutoffs.numpy(),
    )
    return predict(potential, torch.tensor(species), torch.tensor(edge_index), torch.tensor(vectors))


def run_cases(
    folder: Path, model: Path, ranks: int, names: list[str], options: str = ""
) -> dict[str, Measured]:
    script = ""
    for name in names:
        case = CASES[name]
        write_data(folder / f"{name}.data", case.atoms, list(SPECIES))
        script += setup(name, model, case.boundary, options=options, before=case.before)
        script += case.after + "\n" + measure(name)
    output = good(lmp(script, folder, ranks))
    return {name: measured(output, folder, name) for name in names}


@pytest.fixture(scope="module", params=[1, 2, 4], ids=lambda n: f"{n}ranks")
def results(request, tmp_path_factory, double_file) -> dict[str, Measured]:
    return run_cases(tmp_path_factory.mktemp("cases"), double_file, request.param, list(CASES))


@pytest.mark.parametrize("name", CASES)
def test_energies_forces_and_virial_are_those_of_python(results, double, name):
    expected, found = python(double, CASES[name].atoms), results[name]
    np.testing.assert_allclose(found.energy, expected.energy.item(), **EXACT)
    np.testing.assert_allclose(found.atomic_energies, expected.atomic_energies.numpy(), **EXACT)
    np.testing.assert_allclose(found.forces, expected.forces.numpy(), **EXACT)
    # LAMMPS's own conversion of pressures has seven digits
    np.testing.assert_allclose(found.virial, expected.virial[0].numpy()[VOIGT], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_per_atom_energies_and_stresses_sum_to_the_totals(results, name):
    found = results[name]
    np.testing.assert_allclose(found.summed_atomic_energy, found.energy, **EXACT)
    np.testing.assert_allclose(found.summed_stress, -found.virial, **EXACT)
    np.testing.assert_allclose(found.atomic_stress.sum(axis=0), found.summed_stress, **EXACT)


def test_an_isolated_atom_has_its_reference_energy(results, double):
    assert results["alone"].energy == double.e0[SPECIES.index("O")].item()
    assert (results["alone"].forces == 0).all()


def test_single_precision_agrees_within_its_rounding(tmp_path, single_file, double):
    found = run_cases(tmp_path, single_file, 2, ["tilted"])["tilted"]
    expected = python(double, CASES["tilted"].atoms)  # the same weights, rounded
    np.testing.assert_allclose(found.energy, expected.energy.item(), rtol=1e-5)
    np.testing.assert_allclose(found.forces, expected.forces.numpy(), atol=1e-3)


@pytest.mark.parametrize("ranks", [1, 2])
def test_without_the_exchange_of_ghost_features_the_result_is_wrong(tmp_path, double_file, double, ranks):
    # The negative control: it shows that the agreement above is the exchange's doing.
    found = run_cases(tmp_path, double_file, ranks, ["tilted"], options="debug_no_exchange")["tilted"]
    expected = python(double, CASES["tilted"].atoms)
    # Random weights give weak messages; still a million times the tolerance of the agreement.
    assert abs(found.energy - expected.energy.item()) > 1e-4
    assert np.abs(found.forces - expected.forces.numpy()).max() > 1e-4


def test_forces_and_virial_are_derivatives_of_the_energy(tmp_path, double_file):
    # LAMMPS's own finite differences, on two ranks
    write_data(tmp_path / "tilted.data", CASES["tilted"].atoms, list(SPECIES))
    script = setup("tilted", double_file) + (
        "fix n all numdiff 1 1e-5\n"
        "fix v all numdiff/virial 1 1e-5\n"
        "dump n all custom 1 numdiff.dump fx fy fz f_n[1] f_n[2] f_n[3]\n"
        "dump_modify n format float %.12g\n"
        "compute w all pressure NULL virial\n"
        "thermo_style custom c_w[1] f_v[1] c_w[2] f_v[2] c_w[3] f_v[3] "
        "c_w[6] f_v[4] c_w[5] f_v[5] c_w[4] f_v[6]\n"
        "thermo_modify format float %.12g\n"
        'print "BEGIN"\nrun 0\nprint "END"\n'
    )
    output = good(lmp(script, tmp_path, 2))
    rows = np.loadtxt(tmp_path / "numdiff.dump", skiprows=9)
    # eV/Å; second derivatives of cubic splines jump at knots: the error falls with the step, not its square
    np.testing.assert_allclose(rows[:, :3], rows[:, 3:], rtol=0, atol=5e-7)
    block = output.split("BEGIN\n")[1].split("Loop")[0].splitlines()
    pressures = np.array(block[-1].split(), dtype=float)
    np.testing.assert_allclose(pressures[::2], pressures[1::2], rtol=1e-5, atol=0.1)  # bar
