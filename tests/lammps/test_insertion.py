"""Atoms that come, go, or change their element in the middle of a run.

The oracle is a new start from the structure that a run ended with.
"""

import numpy as np
import pytest
from ase import Atoms

from equipot.model_file import write_model
from tests.lammps.conftest import SPECIES, potential
from tests.lammps.ranks import on_ranks
from tests.lammps.running import good, lmp, measure, measured, setup, write_data
from tests.lammps.states import THERMO, TILTED, State, assert_same, begin, keep, keep_and_start_anew, kept
from tests.lammps.structures import cases

MOVING = "velocity all create 600 1 loop geom\ntimestep 0.001\nfix move all nve\nthermo 5\n"


def assert_as_anew(states: dict[str, State], name: str) -> None:
    """Pressure aside, to which a new start has no velocities."""
    found, anew = states[name], states[f"{name}_anew"]
    anew.pressure = found.pressure
    assert_same(found, anew)


@on_ranks(1, 2, 3, 4)
def test_deposited_created_and_deleted_atoms_count_from_their_first_step(tmp_path, double_file, ranks):
    write_data(tmp_path / "slab.data", cases()["slab"].atoms, list(SPECIES))
    start = setup("slab", double_file, boundary="p p f") + THERMO
    drop = (
        "region above block 1 9 1 9 10 13\n"
        "fix drop all deposit 3 2 3 17 region above vz -60 -60 near 1.3 units box\n"
    )
    script = start + MOVING + drop + "run 10\n"
    script += keep_and_start_anew("deposited", double_file, boundary="p p f")
    holes = "group holes id 3:20:4\ndelete_atoms group holes compress no\n"
    script += start + MOVING + "run 2\n" + holes + "run 5\n"
    script += keep_and_start_anew("holes", double_file, boundary="p p f")
    script += (
        start + MOVING + f"{holes}run 2\ncreate_atoms 2 random 4 99 NULL overlap 1.3 maxtry 1000\nrun 5\n"
    )
    script += keep_and_start_anew("created", double_file, boundary="p p f")
    states = kept(good(lmp(script, tmp_path, ranks)), tmp_path)
    n = len(cases()["slab"].atoms)
    for name, atoms in (("deposited", n + 3), ("holes", n - 5), ("created", n - 1)):
        assert len(states[name].ids) == atoms
        assert_as_anew(states, name)
    assert states["holes"].ids.max() > len(states["holes"].ids)


@on_ranks(1, 2, 3, 4)
def test_atoms_that_leave_through_a_boundary_are_gone(tmp_path, double_file, ranks):
    write_data(tmp_path / "slab.data", cases()["slab"].atoms, list(SPECIES))
    script = setup("slab", double_file, boundary="p p f") + THERMO + MOVING
    script += (
        "thermo_modify lost ignore flush yes\nneigh_modify delay 0 every 1 check no\n"
        "region top block INF INF INF INF 8.5 INF\ngroup top region top\nvelocity top set NULL NULL 900\n"
        "run 10\n"
    )
    script += keep_and_start_anew("left", double_file, boundary="p p f")
    states = kept(good(lmp(script, tmp_path, ranks)), tmp_path)
    assert 0 < len(states["left"].ids) < len(cases()["slab"].atoms)
    assert_as_anew(states, "left")


@on_ranks(1, 2, 3, 4)
def test_an_excluded_group_is_out_of_the_world(tmp_path, double_file, ranks):
    # As fix gcmc does for the energy without an atom: no energy of its own may stay in the total.
    without = TILTED.copy()
    gone = [4, 10]
    del without[gone]
    write_data(tmp_path / "without.data", without, list(SPECIES))
    write_data(tmp_path / "with.data", TILTED, list(SPECIES))
    exclude = "group gone id 5 11\nneigh_modify exclude group {}\n"
    script = setup("without", double_file, before="processors 1 1 *") + measure("without")
    cut = setup("with", double_file, before="processors * 1 1")
    for groups in ("gone all", "all gone"):
        script += cut + exclude.format(groups) + measure(groups.replace(" ", "_"))
    # and back again, in the same box
    script += f"undump d\nneigh_modify exclude none\n{THERMO}run 0\n" + keep("back")
    script += setup("with", double_file) + THERMO + "run 0\n" + keep("with")
    output = good(lmp(script, tmp_path, ranks))
    expected = measured(output, tmp_path, "without")
    stay = np.delete(np.arange(len(TILTED)), gone)
    for name in ("gone_all", "all_gone"):
        found = measured(output, tmp_path, name)
        np.testing.assert_allclose(found.energy, expected.energy, rtol=1e-12)
        np.testing.assert_allclose(found.forces[stay], expected.forces, rtol=0, atol=1e-11)
        np.testing.assert_allclose(found.atomic_energies[stay], expected.atomic_energies, rtol=1e-12)
        np.testing.assert_allclose(found.virial, expected.virial, rtol=1e-10, atol=1e-10)
        assert (found.forces[gone] == 0).all()
        assert (found.atomic_energies[gone] == 0).all()
    states = kept(output, tmp_path)
    assert_same(states["back"], states["with"])


GAS = Atoms("SiO", positions=[[2.0, 2.0, 2.0], [3.6, 2.2, 2.1]], cell=[6.6, 7.1, 7.5], pbc=True)
# Moves, insertions and deletions that were accepted, and how many were tried.
COUNTS = 'print "COUNTS $(f_mc[2]) $(f_mc[4]) $(f_mc[6]) $(f_mc[1]) $(f_mc[3]) $(f_mc[5])"\n'


@on_ranks(1, 2, 3, 4)
def test_a_grand_canonical_run_keeps_the_energy_of_its_atoms(tmp_path, double_file, ranks):
    write_data(tmp_path / "gas.data", GAS, list(SPECIES))
    gcmc = "fix mc all gcmc 1 6 3 2 11 3000 -5.2 0.4 full_energy overlap_cutoff 0.8\n"
    script = setup("gas", double_file) + THERMO + f"thermo 2\n{gcmc}run 10\n{COUNTS}"
    script += keep_and_start_anew("gas", double_file)
    output = good(lmp(script, tmp_path, ranks))
    assert_as_anew(kept(output, tmp_path), "gas")
    counts = output.split("\nCOUNTS ")[1].split("\n")[0]
    accepted, tried = np.array(counts.split(), dtype=float).reshape(2, 3)
    assert (accepted > 0).all(), counts
    assert (tried[1:] > accepted[1:]).all(), counts


@on_ranks(1, 2)
def test_a_dilute_gas_has_as_many_atoms_as_the_ideal_gas(tmp_path, double_file, ranks):
    # An isolated atom has its reference energy of -2.5 eV: if that stayed behind when fix gcmc looks at the gas
    # without an atom, the number would be wrong by a factor of 16000.
    edge, temperature, expected = 40.0, 3000.0, 6.0
    kt = 8.617333262e-5 * temperature
    wavelength = 17.458 / np.sqrt(15.999 * temperature)  # Å, thermal; 17.458: h / sqrt(2 pi u k)
    mu = -2.5 + kt * np.log(expected * wavelength**3 / edge**3)
    atoms = Atoms("O6", positions=[[7.0 * i, 5.0, 5.0] for i in range(6)], cell=[edge] * 3, pbc=True)
    write_data(tmp_path / "gas.data", atoms, list(SPECIES))
    script = setup("gas", double_file) + "thermo_style custom step atoms pe\nthermo 1\n"
    script += f"fix mc all gcmc 1 20 0 2 7 {temperature} {mu:.6f} 0 full_energy\nrun 60\n"
    table = good(lmp(script, tmp_path, ranks)).split("   Step ")[1].split("Loop")[0].splitlines()[1:]
    numbers = np.array([line.split()[1] for line in table], dtype=float)[10:]
    assert expected / 2 < numbers.mean() < expected * 2
    assert len(set(numbers)) > 3


def test_a_repulsion_keeps_atoms_apart(tmp_path):
    # What docs/lammps.md warns of: without it, an insertion on top of another atom may be accepted.
    close = Atoms("SiO", positions=[[2.0, 2.0, 2.0], [2.0, 2.0, 2.05]], cell=[20, 20, 20], pbc=True)
    write_data(tmp_path / "close.data", close, list(SPECIES))
    script = ""
    for repulsion in ("none", "zbl", "core"):
        model = write_model(
            tmp_path / f"{repulsion}.pt", potential(repulsion=repulsion, layer_norm=False), verify=False
        )
        script += setup("close", model) + THERMO + "run 0\n" + keep(repulsion)
    states = kept(good(lmp(script, tmp_path)), tmp_path)
    apart = -4.0  # eV, the sum of the reference energies
    assert states["none"].energy < apart - 1
    assert states["zbl"].energy > apart + 1e4
    assert states["core"].energy > apart + 1e4


@on_ranks(1, 2, 3, 4)
@pytest.mark.parametrize("cutoffs", ["equal", "unequal"])
def test_swapped_elements_count_at_once(tmp_path, double_file, ranks, cutoffs):
    # With equal cutoffs LAMMPS keeps its neighbour list and sends only the types to the ghosts.
    model = double_file
    if cutoffs == "equal":
        model = write_model(tmp_path / "equal.pt", potential(pair_cutoffs={}), verify=False)
    swap = "fix mc all atom/swap 1 5 29 1e5 ke no types 1 2\nthermo 1\n"
    script = begin(tmp_path, model) + MOVING + swap + "run 10\n"
    script += 'print "SWAPS $(f_mc[2])"\n' + keep_and_start_anew("swapped", model)
    output = good(lmp(script, tmp_path, ranks))
    states = kept(output, tmp_path)
    assert float(output.split("\nSWAPS ")[1].split()[0]) > 0
    assert_as_anew(states, "swapped")
    types = np.array([1 if symbol == "Si" else 2 for symbol in TILTED.symbols])
    assert (states["swapped"].types != types).any()
