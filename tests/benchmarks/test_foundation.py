"""The parts of the benchmark of converted models that decide what is compared, and what counts as met."""

import dataclasses
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from benchmarks.foundation import differences, report
from benchmarks.foundation.calculator_tasks import AMPLITUDE, STEPS, stepper
from benchmarks.foundation.structures import CLOSEST, KINDS, TIMED, closeness, structures, timed
from benchmarks.peers.worker import Worker, WorkerError
from equipot.model_file import write_model
from tests.benchmarks.running import run_benchmark
from tests.models import make_potential, random_atoms

TYPES = [
    *"H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb".split(),
    *"Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu".split(),
    *"Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Ac Th Pa U Np Pu".split(),
]


@pytest.fixture(scope="module")
def chosen() -> list[tuple[str, Atoms]]:
    return structures(84, TYPES)


def test_the_structures_are_of_every_kind_and_have_all_elements(chosen: list[tuple[str, Atoms]]) -> None:
    assert len(chosen) == 84
    assert {kind for kind, _ in chosen} == {"crystal", *KINDS}
    assert {symbol for _, atoms in chosen for symbol in atoms.symbols} == set(TYPES)
    sizes = [len(atoms) for _, atoms in chosen]
    assert (min(sizes), max(sizes)) == (1, 200)
    assert {tuple(atoms.pbc) for _, atoms in chosen} >= {(True,) * 3, (True, True, False), (False,) * 3}
    assert any(len(atoms) == 1 and atoms.pbc.all() and atoms.cell.lengths().max() < 5 for _, atoms in chosen)
    assert max(len(set(atoms.symbols)) for kind, atoms in chosen if kind == "alloy of 10") == 10


def test_fewer_structures_leave_out_crystals_only() -> None:
    kinds = [kind for kind, _ in structures(40, TYPES)]
    assert len(kinds) == 40
    assert set(kinds) == {"crystal", *KINDS}


def test_no_two_atoms_overlap(chosen: list[tuple[str, Atoms]]) -> None:
    for _, atoms in [*chosen, *timed(list(TIMED)).items()]:
        assert closeness(atoms) > CLOSEST
        assert neighbor_list("d", atoms, 0.6).size == 0


def test_the_structures_are_the_same_in_every_run(chosen: list[tuple[str, Atoms]]) -> None:
    for (_, a), (_, b) in zip(chosen, structures(84, TYPES)):
        assert a == b


def _results(shift: float) -> dict[str, np.ndarray]:
    """Of a crystal of two atoms and of an atom alone."""
    return {
        "energy_0": np.array(-3.0 + 2 * shift),
        "forces_0": np.array([[0.0, 1.0, 2.0], [0.0, -1.0, -2.0 + 3 * shift]]),
        "stress_0": np.array([1.0, 1.0, 1.0, 0.0, 0.0, 5 * shift]),
        "energy_1": np.array(-7.0 - 0.5 * shift),
        "forces_1": np.zeros((1, 3)),
    }


def test_differences_are_the_largest_over_structures_and_energies_are_per_atom() -> None:
    found = differences.difference(_results(1e-3), _results(0.0), {0: 2, 1: 1})
    assert found.energy == pytest.approx(1e-3)
    assert found.force == pytest.approx(3e-3)
    assert found.stress == pytest.approx(5e-3)
    alone = differences.difference(_results(1e-3), _results(0.0), {1: 1})
    assert alone.energy == pytest.approx(5e-4)
    assert (alone.force, alone.stress) == (0.0, None)


def test_limits_are_met_only_by_numbers_within_all_of_them() -> None:
    good = differences.Difference(1e-6, 1e-5, 1e-6)
    limits = differences.LIMITS["float32"]
    assert good.within(limits)
    assert dataclasses.replace(good, stress=None).within(limits)
    for name, value in {"energy": 2e-5, "force": 3e-4, "stress": 2e-5}.items():
        assert not dataclasses.replace(good, **{name: value}).within(limits)
        assert not dataclasses.replace(good, **{name: float("nan")}).within(limits)


def test_nan_is_a_difference() -> None:
    broken = _results(0.0)
    broken["forces_0"][1, 1] = np.nan
    assert np.isnan(differences.difference(_results(0.0), broken, {0: 2, 1: 1}).force)


def test_a_stress_on_one_side_only_is_an_error() -> None:
    without = {k: v for k, v in _results(0.0).items() if k != "stress_0"}
    with pytest.raises(KeyError):
        differences.difference(_results(0.0), without, {0: 2})


def test_a_missed_limit_is_described_by_both_sides_distance_from_float64() -> None:
    sides = {"float32": _results(1e-2), "float64": _results(0.0)}
    truth = {"float32": _results(-1e-7), "float64": _results(0.0)}
    rows = [
        {"model": "m", "peer": "SevenNet", **row}
        for row in differences.rows(["crystal", "atom"], [2, 1], sides, truth)
    ]
    assert [row["kind"] for row in rows] == ["crystal", "atom", "all"]
    assert not rows[0]["float32"]["met"]
    assert rows[0]["float64"]["met"]
    crystal = report.sentences(rows)[0]
    assert "m, crystal: beyond" in crystal
    assert "equipot's float32 is 1.0e-02, 3.0e-02, 5.0e-02 away, SevenNet's float32 1.0e-07" in crystal
    assert "NOT met" in report.markdown("differences", rows)


def test_equipots_worker_evaluates_a_model_file_and_moves_what_it_times(tmp_path: Path) -> None:
    import ase.io

    model = write_model(tmp_path / "model.pt", make_potential(), verify=False)
    frames = [random_atoms(6), random_atoms(4, pbc=False)]
    ase.io.write(tmp_path / "frames.extxyz", frames)
    request = {"model": str(model), "structures": str(tmp_path / "frames.extxyz")}
    with Worker(Path(sys.executable), "benchmarks.foundation.equipot_worker", 1, tmp_path / "log") as worker:
        assert worker.ask("results", job="all", **request, results=str(tmp_path / "all.npz"))["atoms"] == 10
        worker.time(1, "all")
        assert worker.ask("steps", job="steps", **request, index=1)["atoms"] == 4
        assert 0 < worker.time(3, "steps") < 10
        with pytest.raises(WorkerError, match="equipot: ModelFileError"):
            worker.ask("steps", job="none", **{**request, "model": "none.pt"}, index=0)
    results = np.load(tmp_path / "all.npz")
    assert set(results) == {"energy_0", "forces_0", "stress_0", "energy_1", "forces_1"}


def test_every_step_moves_atoms_less_than_a_bond_and_comes_back() -> None:
    atoms = random_atoms(6)
    start, seen = atoms.positions.copy(), []

    class Recorder:
        def get_forces(self, moved: Atoms) -> np.ndarray:
            seen.append(moved.positions.copy())
            return np.zeros((6, 3))

        def get_potential_energy(self, moved: Atoms, force_consistent: bool = False) -> float:
            return 0.0

        def get_stress(self, moved: Atoms) -> np.ndarray:
            return np.zeros(6)

    call = stepper(atoms, Recorder())  # type: ignore[arg-type]
    for _ in range(2 * STEPS):
        call()
    away = np.sqrt(((np.array(seen) - start) ** 2).sum(axis=2).mean(axis=1))
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(seen))
    assert away.max() == pytest.approx(AMPLITUDE, rel=0.5)
    assert away[-1] == pytest.approx(0.0, abs=1e-12)


def test_without_sevennet_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EQUIPOT_SEVENN_PYTHON", raising=False)
    done = run_benchmark("foundation")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        "foundation: no interpreter of sevenn's environment is given: python -m venv"
    )
    assert len(done.stderr.splitlines()) == 1
