"""The benchmark of universal models: its figures for crystals of springs, and what its tables compare."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.build import bulk

from benchmarks.universal import report
from benchmarks.universal.crystals import CRYSTALS
from benchmarks.universal.measure import properties
from benchmarks.universal.models import Model
from benchmarks.universal.results import kept
from equipot.model_file import write_model
from tests.benchmarks.running import run_benchmark
from tests.models import make_potential
from tests.springs import THZ, A, K, Springs, fcc, frequencies

pytest.importorskip("phonopy")


def test_figures_of_springs_are_those_of_theory():
    """Springs between nearest neighbours of an fcc crystal: C11 = 2 k/a, C12 = C44 = k/a."""
    found = properties(fcc(), Springs())
    k = K / A / units.GPa
    assert found["a"] == pytest.approx(A, abs=1e-3)
    assert found["c11"] == pytest.approx(2 * k, rel=1e-3)
    assert (found["c12"], found["c44"]) == pytest.approx((k, k), rel=1e-3)
    assert found["bulk_modulus"] == pytest.approx(4 / 3 * k, rel=1e-2)
    assert found["imaginary"] == []
    at_x = frequencies(2 * np.pi / A * np.array([1, 0, 0]), 39.948)
    assert found["at_x"] == pytest.approx([at_x[0], at_x[2]], abs=5e-3)  # two transverse modes are equal
    assert found["gamma"] == pytest.approx(0.0, abs=1e-3)


def test_the_frequency_at_gamma_is_that_of_the_optical_mode():
    found = properties(bulk("NaCl", "rocksalt", a=5.6, cubic=True), Springs(K, 2.8))
    assert found["gamma"] == pytest.approx(np.sqrt(2 * K * (1 / 22.98976928 + 1 / 35.45)) * THZ, rel=1e-3)


def test_a_crystal_with_an_error_has_no_figures():
    found = properties(bulk("Ar", "fcc", a=2 * A, cubic=True), Springs())
    assert set(found) == {"error"}
    row = report.crystal_rows("Si", {"m": found})[0]
    assert set(row.values()) == {"m", report.DASH}
    assert report.sentences("Si", {"m": found})[0] == f"m, Si: {found['error']}."


SI = {
    "a": 5.50,
    "bulk_modulus": 90.0,
    "c11": 160.0,
    "c12": 60.0,
    "c44": 70.0,
    "gamma": 15.0,
    "at_x": [4.0, 12.0, 13.5],
    "imaginary": ["imaginary mode: 0.3i THz at q = (0 0 0)"],
}


def test_published_values_stand_below_those_of_the_models():
    rows = report.crystal_rows("Si", {"m": SI})
    assert [row[""] for row in rows] == ["m", *(p.name for p in CRYSTALS["Si"].published)]
    assert rows[0] == {
        "": "m",
        "a (Å)": "5.500",
        "B (GPa)": "90.0",
        "C11": "160.0",
        "C12": "60.0",
        "C44": "70.0",
        "TO(Γ) (THz)": "15.00",
        "X (THz)": "4.00, 12.00, 13.50",
        "imaginary modes": "yes",
    }
    assert rows[-1]["X (THz)"] == "4.49, 12.32, 13.90"
    assert rows[1]["C11"] == report.DASH
    assert "m, Si: imaginary mode: 0.3i THz at q = (0 0 0)." in report.sentences("Si", {"m": SI})


def test_deviations_are_means_over_crystals_of_what_a_model_and_a_source_both_have():
    exact = {"a": 4.256, "c11": 297.8, "c12": 97.0, "c44": 156.3, "gamma": 12.0}
    (row,) = report.deviations({"Si": {"m": SI}, "MgO": {"m": exact}})
    constants = [160 / 165.8 - 1, 60 / 63.9 - 1, 70 / 79.6 - 1, 0, 0, 0]
    assert row[""] == "m"
    assert float(row["a from PBE, size"]) == pytest.approx(100 * np.mean([5.5 / 5.469 - 1, 0]), abs=0.01)
    assert float(row["B from PBE, size"]) == pytest.approx(100 * (90 / 88.5 - 1), abs=0.1)  # of Si alone
    assert float(row["C11, C12, C44 from experiment"]) == pytest.approx(100 * np.mean(constants), abs=0.1)
    assert float(row["size"]) == pytest.approx(100 * np.mean(np.abs(constants)), abs=0.1)
    assert float(row["TO(Γ) from experiment"]) == pytest.approx(100 * np.mean([15 / 15.5 - 1, 0]), abs=0.1)


def test_bulk_moduli_of_experiments_are_those_of_their_elastic_constants():
    for crystal in CRYSTALS.values():
        for p in crystal.published:
            if p.c11 is not None and p.c12 is not None:
                assert p.bulk_modulus == pytest.approx((p.c11 + 2 * p.c12) / 3, abs=0.1)


def test_a_name_with_a_modality_is_told_from_a_file(tmp_path: Path):
    path = write_model(tmp_path / "a,b.pt", make_potential(species=("Si",)), verify=False)
    model = Model.of(str(path), "float32")
    assert (model.name, model.path, model.dtype, model.cutoff) == ("a,b", path, "float64", 4.0)


def test_results_are_computed_again_only_with_other_models_or_settings(tmp_path: Path):
    file = tmp_path / "folder" / "Si.json"
    assert kept(file, {"model": "a"}, lambda: {"a": 5.4}) == {"a": 5.4}
    assert kept(file, {"model": "a"}, lambda: {"a": 5.5}) == {"a": 5.4}
    assert kept(file, {"model": "b"}, lambda: {"a": 5.6}) == {"a": 5.6}
    assert json.loads(file.read_text()) == {"made_with": {"model": "b"}, "values": {"a": 5.6}}


def test_a_run_prints_tables_and_writes_all_values(tmp_path: Path):
    path = write_model(tmp_path / "tiny.pt", make_potential(species=("Si",)), verify=False)
    options = ["--crystals", "Si", "NaCl", "--atoms", 8, "--rounds", 2, "--round-seconds", 0.01, "--markdown"]
    done = run_benchmark(
        "universal", path, *options, "--work", tmp_path / "work", "--json", tmp_path / "all.json"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "| experiment, 300 K | 5.431 |" in done.stdout
    assert "tiny, NaCl: " in done.stdout  # the model does not know Na
    values = json.loads((tmp_path / "all.json").read_text())
    assert set(values["values"]["NaCl"]["tiny"]) == {"error"}
    steps = values["steps"]["Si"]["tiny"]
    assert steps["atoms"] == 8
    assert 0 < steps["minimum"] <= steps["median"]
    assert values["steps"]["NaCl"] == {}
    assert (tmp_path / "work" / "tiny" / "Si.json").is_file()


def test_an_unknown_model_is_one_sentence():
    done = run_benchmark("universal", "none.nqx", "--no-speed")
    assert done.returncode == 1
    assert done.stderr.startswith("universal: none.nqx: no such file")
    assert len(done.stderr.splitlines()) == 1
