"""Predictions for many structures at once against the calculator, one structure after the other."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from equipot import native
from equipot.calculators import EquipotCalculator, batch, many, predict_many
from equipot.errors import ConfigError, DataError, NumericsError, UnknownSpeciesError
from equipot.model_file import load_model, write_model
from equipot.neighbours.cell import volume_of
from equipot.network.variants import with_grade
from tests.models import KINDS, make_potential, random_atoms

MIXED = [True, False, (True, True, False), (False, False, True)]
compiled = pytest.mark.skipif(not native.available(), reason="the compiled library is off or not installed")


@pytest.fixture(scope="module")
def structures():
    made = [random_atoms(1 + k % 7, seed=k, pbc=MIXED[k % 4]) for k in range(40)]
    made[4:4] = [Atoms(), Atoms(cell=[4, 4, 4], pbc=True), Atoms("O", cell=[30, 30, 30], pbc=True)]
    made.append(bulk("Si", a=3.9)[:1])
    return [*made, random_atoms(6, seed=3).repeat(5)]  # 750 atoms


@pytest.fixture(scope="module", params=["runtime", "torch"])
def either(request, path):
    if request.param == "runtime" and not native.available():
        pytest.skip("the compiled library is off or not installed")
    return load_model(path, engine_name=request.param)


def same(p, atoms, calculator):
    """In double precision; sums over edges in another order differ in the last digits."""
    atoms = atoms.copy()
    atoms.calc = calculator
    scale = max(1.0, abs(atoms.get_potential_energy()))
    assert p.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-12 * scale)
    np.testing.assert_allclose(p.energies, atoms.get_potential_energies(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(p.forces, atoms.get_forces(), rtol=0, atol=1e-12)
    assert p.forces.shape == (len(atoms), 3)
    assert (p.stress is None) == np.isnan(volume_of(atoms.cell.array, atoms.pbc))
    if p.stress is not None:
        np.testing.assert_allclose(p.stress, atoms.get_stress(), rtol=0, atol=1e-12)
    assert set(p.outputs) == set(calculator.outputs)
    for name, values in calculator.outputs.items():
        np.testing.assert_allclose(p.outputs[name], values, rtol=1e-12, atol=1e-12)


def test_predictions_are_those_of_the_calculator_in_the_same_order(either, structures):
    predictions = list(predict_many(either, structures, workers=2))
    assert len(predictions) == len(structures)
    for p, atoms in zip(predictions, structures):
        same(p, atoms, EquipotCalculator(either, skin=0.0))


def test_pair_cutoffs_and_grades_are_used(structures, tmp_path):
    potential = make_potential(seed=3, **KINDS["extras"])
    d = potential.read.width
    rng = np.random.default_rng(0)
    import torch

    mean, factor = (torch.from_numpy(rng.normal(size=s)).float() for s in ((2, d), (2, d * d)))
    graded = with_grade(potential, mean, factor.reshape(2, d * d), torch.ones(2))
    model = load_model(write_model(tmp_path / "m.pt", graded, verify=False))
    calculator = EquipotCalculator(model, skin=0.0)
    calculator.warns = False
    for p, atoms in zip(predict_many(model, structures), structures, strict=True):
        same(p, atoms, calculator)
        assert p.outputs["gamma"].shape == (len(atoms),)


@compiled
@pytest.mark.parametrize("batch_edges", [1, 100, 20_000])
def test_the_number_of_workers_does_not_change_a_bit(model, structures, batch_edges, monkeypatch):
    monkeypatch.setattr(many, "RUNTIME_ATOMS", 12)  # some twenty batches
    one, three = (
        list(predict_many(model, iter(structures), workers=n, batch_edges=batch_edges)) for n in (1, 3)
    )
    for a, b in zip(one, three, strict=True):
        assert a.energy == b.energy
        np.testing.assert_array_equal(a.forces, b.forces)
        np.testing.assert_array_equal(a.energies, b.energies)
        assert a.stress is b.stress is None or (a.stress == b.stress).all()


@pytest.mark.parametrize("workers", [1, 2])
def test_structures_are_read_only_a_few_batches_ahead(model, workers):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield random_atoms(4, seed=1)

    predictions = predict_many(model, endless(), workers=workers)
    assert not taken
    for _ in range(5):
        next(predictions)
    assert len(taken) <= (3 * workers + 1) * many.RUNTIME_ATOMS
    predictions.close()


def test_a_structure_may_be_changed_after_it_was_taken(model):
    atoms = random_atoms(5)
    steps = [atoms.positions + 0.01 * k for k in range(60)]

    def walk():
        for x in steps:
            atoms.positions[:] = x
            yield atoms
            atoms.positions[:] = np.nan

    calculator = EquipotCalculator(model)
    for x, p in zip(steps, predict_many(model, walk(), workers=2), strict=True):
        same(p, Atoms(atoms.numbers, x, cell=atoms.cell, pbc=True), calculator)


def bad_inputs():
    germanium, flat, lost, broken = (random_atoms(4) for _ in range(4))
    germanium.symbols[1] = "Ge"
    flat.cell[2] = flat.cell[0]
    lost.positions[3, 1] = np.nan
    broken.cell[0, 0] = np.inf
    return {
        "element": (germanium, UnknownSpeciesError, r"structure 50 holds Ge, but the model knows only Si, O"),
        "cell": (flat, DataError, r"structure 50: the periodic cell vectors are zero or linearly dependent"),
        "position": (lost, NumericsError, r"structure 50: the position of atom 3 is not finite"),
        "infinite": (broken, DataError, r"structure 50: positions or cell are not finite"),
        "type": ("POSCAR", DataError, r"structure 50 is of the type str; expected ASE's Atoms"),
    }


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", bad_inputs())
def test_an_error_names_its_structure_and_comes_after_the_results_before_it(model, workers, kind):
    bad, error, sentence = bad_inputs()[kind]
    structures = [random_atoms(3, seed=k) for k in range(50)] + [bad] + [random_atoms(3)] * 9
    got = []
    with pytest.raises(error, match=sentence):
        got.extend(predict_many(model, structures, workers=workers))
    assert len(got) == 50


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_callers_iterator_comes_after_the_results_before_it(model, workers):
    def reading():
        yield from (random_atoms(3, seed=k) for k in range(30))
        raise OSError("the disk is gone")

    got = []
    with pytest.raises(OSError, match="the disk is gone"):
        got.extend(predict_many(model, reading(), workers=workers))
    assert len(got) == 30


def test_results_that_are_not_finite_name_the_structure(path):
    model = load_model(path, engine_name="torch")
    for name, buffer in model.module.named_buffers():
        if name.endswith("table"):
            buffer.fill_(float("nan"))
    lone, pair = Atoms("O"), Atoms("SiO", [[0, 0, 0], [0, 0, 1.5]])
    got = []
    with pytest.raises(
        NumericsError, match=r"structure 2: .* energy is not finite; the closest atoms, 0 and 1, are 1.5 Å"
    ):
        got.extend(predict_many(model, [lone, lone, pair]))
    assert len(got) == 2


@compiled
@pytest.mark.parametrize(("n", "threads"), [(1, 3), (90, 1)])
def test_a_lone_batch_has_all_threads(model, monkeypatch, n, threads):
    used = set()
    evaluate = batch._evaluate
    monkeypatch.setattr(batch, "_evaluate", lambda *a: used.add(a[-1]) or evaluate(*a))
    assert len(list(predict_many(model, [random_atoms(6)] * n, workers=3))) == n
    assert used == {threads}


@pytest.mark.parametrize("workers", [1, 2])
def test_no_structures_give_no_predictions(model, workers):
    assert list(predict_many(model, [], workers=workers)) == []


def test_two_atoms_in_one_place_are_named_and_harm_no_other_structure(model):
    twice = Atoms("SiO", np.zeros((2, 3)))
    atoms = random_atoms(4)
    got = []
    with pytest.raises(
        NumericsError, match=r"structure 1: .* not finite; the closest atoms, 0 and 1, are 0 Å apart"
    ):
        got.extend(predict_many(model, [atoms, twice, atoms]))
    same(got[0], atoms, EquipotCalculator(model))


def test_results_are_those_of_an_ase_calculator(model, path):
    atoms = random_atoms(4)
    (p,) = predict_many(path, [atoms])
    atoms.calc = SinglePointCalculator(atoms, **p.results())
    assert atoms.get_potential_energy() == p.energy
    np.testing.assert_array_equal(atoms.get_stress(), p.stress)


@pytest.mark.parametrize("option", ["workers", "batch_edges"])
def test_bad_options_are_refused_at_once(model, option):
    with pytest.raises(ConfigError, match=f"{option} is 0; expected 1 or more"):
        predict_many(model, [], **{option: 0})


@compiled
def test_small_structures_are_evaluated_together(model, monkeypatch):
    sizes = []
    evaluate = batch._evaluate

    def counted(model, joined, start, end, threads):
        sizes.append(end - start)
        return evaluate(model, joined, start, end, threads)

    monkeypatch.setattr(batch, "_evaluate", counted)
    list(predict_many(model, [random_atoms(4, seed=k) for k in range(128)], workers=1))
    assert sizes == [64, 64]
