"""Elements of `pair_coeff` that contradict the masses of the atom types are named, and the run goes on."""

import re

import pytest
from ase.data import atomic_masses_iupac2016, atomic_numbers

from equipot.lammps import plugin_sources
from tests.lammps.ranks import on_ranks
from tests.lammps.running import good, lmp
from tests.lammps.states import begin


def warnings_of(output: str) -> list[str]:
    return [
        line.partition("WARNING: ")[2] for line in output.splitlines() if "pair_coeff, but its mass" in line
    ]


@on_ranks(1, 2)
def test_swapped_elements_are_named_once_each(tmp_path, double_file, ranks):
    script = begin(tmp_path, double_file, coeff="O Si") + "run 0\nrun 0\n"
    found = warnings_of(good(lmp(script, tmp_path, ranks)))
    assert len(found) == 2
    assert found[0].startswith("atom type 1 is O in pair_coeff, but its mass of 28.085 is that of Si:")
    assert found[1].startswith("atom type 2 is Si in pair_coeff, but its mass of 15.999 is that of O:")


@pytest.mark.parametrize(
    ("masses", "named"),
    [
        ("", []),
        ("mass 1 28.0\nmass 2 16\n", []),  # rounded
        ("mass 1 29.97\nmass 2 18\n", []),  # isotopes
        ("mass 1 72.63\n", ["that of Ge"]),
        ("mass 2 32.06\n", ["that of S:"]),
        ("mass * 20.18\n", ["that of Ne", "that of Ne"]),
    ],
)
def test_only_masses_of_other_elements_are_named(tmp_path, double_file, masses, named):
    script = begin(tmp_path, double_file) + masses + "run 0\n"
    found = warnings_of(good(lmp(script, tmp_path)))
    assert len(found) == len(named)
    assert all(text in line for text, line in zip(named, found))


def test_the_plugin_has_the_masses_of_ase():
    table = re.findall(r'\{"(\w+)", ([\d.]+)\}', (plugin_sources() / "masses.cpp").read_text())
    assert [atomic_numbers[symbol] for symbol, _ in table] == list(range(1, 119))
    for symbol, mass in table:
        assert float(mass) == pytest.approx(atomic_masses_iupac2016[atomic_numbers[symbol]], rel=1e-5)
