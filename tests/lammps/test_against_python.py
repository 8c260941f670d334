"""LAMMPS on several ranks gives what Python gives on one."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from equipot.network.derivatives import Prediction, predict
from equipot.network.potential import Potential
from tests.lammps.conftest import SPECIES
from tests.lammps.ranks import on_ranks, rank_counts
from tests.lammps.running import Measured, good, lmp, measure, measured, setup, write_data
from tests.lammps.structures import cases
from tests.models import model_input

torch = pytest.importorskip("torch")
CASES = cases()
VOIGT = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])
# Sums in another order: rounding of numbers of size 100 in float64.
EXACT = {"rtol": 0, "atol": 1e-10}


def python(potential: Potential, atoms: Atoms) -> Prediction:
    return predict(potential, model_input(potential, atoms))


def spread_ids(path: Path) -> None:
    """Ids 1, 2, 3 become 7, 14, 21; the lines come in another order."""
    head, body = path.read_text().split("Atoms", 1)
    title, *lines = body.strip().splitlines()
    atoms = [line.split(maxsplit=1) for line in lines if line.strip()]
    np.random.default_rng(0).shuffle(atoms)
    body = "\n".join(f"{7 * int(number)} {rest}" for number, rest in atoms)
    path.write_text(f"{head}Atoms {title}\n\n{body}\n")


def run_cases(
    folder: Path, model: Path, ranks: int, names: list[str], options: str = ""
) -> dict[str, Measured]:
    script = ""
    for name in names:
        case = CASES[name]
        write_data(folder / f"{name}.data", case.atoms, list(SPECIES))
        if case.gaps_in_ids:
            spread_ids(folder / f"{name}.data")
        script += setup(name, model, case.boundary, options=options, before=case.before)
        script += case.after + "\n" + measure(name)
    output = good(lmp(script, folder, ranks))
    return {name: measured(output, folder, name) for name in names}


@pytest.fixture(scope="session")
def all_cases(tmp_path_factory, double_file) -> Callable[[int], dict[str, Measured]]:
    """Every structure on so many ranks; measured once, whatever the order of the tests."""
    return lru_cache(
        lambda ranks: run_cases(tmp_path_factory.mktemp("cases"), double_file, ranks, list(CASES))
    )


@pytest.fixture(params=rank_counts(1, 2, 3, 4, quick=(1, 3)), ids=lambda n: f"{n}ranks")
def results(request, all_cases) -> dict[str, Measured]:
    return all_cases(request.param)


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


def test_one_rank_has_nothing_to_exchange(tmp_path, double_file, double):
    # Periodic images of an atom are one atom to the network.
    names = ["tilted", "tiny", "thin"]
    for name, found in run_cases(tmp_path, double_file, 1, names, options="debug_no_exchange").items():
        expected = python(double, CASES[name].atoms)
        np.testing.assert_allclose(found.energy, expected.energy.item(), **EXACT)
        np.testing.assert_allclose(found.forces, expected.forces.numpy(), **EXACT)


@on_ranks(2, 3, 4)
def test_without_the_exchange_of_ghost_features_the_result_is_wrong(tmp_path, double_file, double, ranks):
    # The negative control: it shows that the agreement above is the exchange's doing.
    found = run_cases(tmp_path, double_file, ranks, ["tilted"], options="debug_no_exchange")["tilted"]
    expected = python(double, CASES["tilted"].atoms)
    # Random weights give weak messages; still a million times the tolerance of the agreement.
    assert abs(found.energy - expected.energy.item()) > 1e-4
    assert np.abs(found.forces - expected.forces.numpy()).max() > 1e-4


@on_ranks(1, 2, 3)
def test_copies_of_a_cell_have_its_energies_and_forces(tmp_path, double_file, double, ranks):
    atoms, copies = CASES["tiny"].atoms, 12
    write_data(tmp_path / "tiny.data", atoms, list(SPECIES))
    script = setup("tiny", double_file) + "replicate 3 2 2\n" + measure("tiny")
    found = measured(good(lmp(script, tmp_path, ranks)), tmp_path, "tiny")
    expected = python(double, atoms)
    np.testing.assert_allclose(found.energy, copies * expected.energy.item(), **EXACT)
    per_copy = found.atomic_energies.reshape(copies, 2), found.forces.reshape(copies, 2, 3)
    np.testing.assert_allclose(per_copy[0], np.tile(expected.atomic_energies, (copies, 1)), **EXACT)
    np.testing.assert_allclose(per_copy[1], np.tile(expected.forces, (copies, 1, 1)), **EXACT)


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


@pytest.mark.parametrize("model", ["foreign", "nequix"])
@on_ranks(1, 2, 4)
def test_what_other_packages_networks_have_beyond_ours_gives_what_python_gives(
    tmp_path, request, model, ranks
):
    names = ["tilted", "slab", "tiny", "alone", "nothing"]
    potential, file = request.getfixturevalue(model), request.getfixturevalue(f"{model}_file")
    for name, found in run_cases(tmp_path, file, ranks, names).items():
        expected = python(potential, CASES[name].atoms)
        np.testing.assert_allclose(found.energy, expected.energy.item(), **EXACT)
        np.testing.assert_allclose(found.forces, expected.forces.numpy(), **EXACT)
        np.testing.assert_allclose(found.virial, expected.virial[0].numpy()[VOIGT], rtol=1e-6, atol=1e-9)
