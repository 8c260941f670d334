"""Beside other pair styles equipot adds its own energy, forces and pressure, and nothing else."""

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

from tests.lammps.conftest import SPECIES
from tests.lammps.ranks import on_ranks
from tests.lammps.running import good, lmp, setup, write_data
from tests.lammps.states import THERMO, TILTED, State, begin, keep, kept

# A third element, which equipot does not know
WITH_HELIUM = TILTED.copy()
WITH_HELIUM.symbols[::7] = "He"
KNOWN = WITH_HELIUM.numbers != 2
NUCLEI = {1: 14, 2: 8, 3: 2}
ZBL = "".join(f"pair_coeff {i} {j} {{}} {NUCLEI[i]} {NUCLEI[j]}\n" for i in NUCLEI for j in NUCLEI if i <= j)


def with_style(name: str, style: str, coeffs: str, more: str = "") -> str:
    """Input of one calculation; {} in coeffs is the name of the style where a hybrid style wants it."""
    base = setup(name, Path("unused")).split("pair_style")[0]
    return f"{base}pair_style {style}\n{coeffs}{more}{THERMO}run 0\n"


def write_charged(path: Path, atoms: Atoms) -> None:
    atoms = atoms.copy()
    atoms.set_initial_charges(np.where(atoms.numbers == 14, 1.2, -0.8))
    write(path, atoms, format="lammps-data", specorder=list(SPECIES), masses=True, atom_style="charge")


def assert_sum(total: State, parts: list[State], rtol: float = 1e-10) -> None:
    np.testing.assert_allclose(total.energy, sum(part.energy for part in parts), rtol=rtol)
    np.testing.assert_allclose(total.pressure, sum(part.pressure for part in parts), rtol=rtol, atol=1e-6)
    forces = sum(part.forces for part in parts)
    np.testing.assert_allclose(total.forces, forces, rtol=0, atol=rtol * np.abs(forces).max())


def widened(state: State) -> State:
    """Of the known atoms alone: the others feel nothing."""
    forces = np.zeros((len(WITH_HELIUM), 3))
    forces[KNOWN] = state.forces
    return State(state.energy, state.pressure, np.arange(len(forces)) + 1, np.array(NUCLEI), forces)


@on_ranks(1, 2, 3, 4)
def test_beside_zbl_and_with_two_models_at_once_everything_adds_up(tmp_path, double_file, single_file, ranks):
    # Two models of different precision, and atoms which only zbl knows; two double ones as well.
    write_data(tmp_path / "known.data", WITH_HELIUM[KNOWN], list(SPECIES))
    write_data(tmp_path / "all.data", WITH_HELIUM, [*SPECIES, "He"])
    script = ""
    for name, file in (("double", double_file), ("single", single_file)):
        script += with_style("known", "equipot", f"pair_coeff * * {file} Si O\n") + keep(name)
    swapped = f"pair_coeff * * {double_file} O Si\n"
    script += with_style("known", "equipot", swapped) + keep("swapped")
    script += with_style("all", "zbl 3.0 4.0", ZBL.format(*[""] * 6)) + keep("zbl")
    for name, file, elements in (("mixed", single_file, "Si O"), ("exact", double_file, "O Si")):
        coeffs = (
            f"pair_coeff * * equipot 1 {double_file} Si O NULL\n"
            f"pair_coeff * * equipot 2 {file} {elements} NULL\n" + ZBL.format(*["zbl"] * 6)
        )
        script += with_style("all", "hybrid/overlay equipot equipot threads 1 zbl 3.0 4.0", coeffs)
        script += keep(name)
    states = kept(good(lmp(script, tmp_path, ranks)), tmp_path)
    known = {name: widened(states[name]) for name in ("double", "single", "swapped")}
    # one of the two models computes in single precision, its sums come in another order
    assert_sum(states["mixed"], [states["zbl"], known["double"], known["single"]], rtol=1e-6)
    assert_sum(states["exact"], [states["zbl"], known["double"], known["swapped"]])
    assert abs(known["double"].energy - known["swapped"].energy) > 1


@on_ranks(1, 2, 3, 4)
def test_beside_charges_and_dispersion_everything_adds_up(tmp_path, double_file, ranks):
    # Long ranges: the ghosts reach two and three times as far as equipot needs.
    write_charged(tmp_path / "charged.data", TILTED)
    styles = {
        "coul": ("coul/cut 9.0", "pair_coeff * * {}\n", "coul/cut"),
        "ewald": ("coul/long 6.0", "pair_coeff * * {}\n", "coul/long"),
        "d3": ("dispersion/d3 bj pbe 12.0 6.0", "pair_coeff * * {} Si O\n", "dispersion/d3"),
        "equipot": ("equipot", f"pair_coeff * * {{}} {double_file} Si O\n", "equipot"),
    }
    settings = {"ewald": "kspace_style ewald 1e-6\n"}
    script = ""
    for name, (style, coeffs, _) in styles.items():
        script += with_style("charged", style, coeffs.format(""), settings.get(name, "")) + keep(name)
    for name in ("coul", "ewald", "d3"):
        both = styles[name], styles["equipot"]
        coeffs = "".join(coeff.format(word) for _, coeff, word in both)
        style = "hybrid/overlay " + " ".join(style for style, _, _ in both)
        script += with_style("charged", style, coeffs, settings.get(name, "")) + keep(f"{name}_both")
    script = script.replace("atom_style atomic", "atom_style charge")
    states = kept(good(lmp(script, tmp_path, ranks)), tmp_path)
    for name in ("coul", "ewald", "d3"):
        assert_sum(states[f"{name}_both"], [states[name], states["equipot"]])
        assert np.abs(states[name].forces).max() > 1e-3


@on_ranks(1, 2, 3)
def test_atoms_of_another_style_only_are_not_there_for_equipot(tmp_path, double_file, ranks):
    # pair_style hybrid: helium by zbl with all others, silicon and oxygen by equipot alone.
    write_data(tmp_path / "known.data", WITH_HELIUM[KNOWN], list(SPECIES))
    write_data(tmp_path / "all.data", WITH_HELIUM, [*SPECIES, "He"])
    helium = "".join(line + "\n" for line in ZBL.splitlines() if line.split()[2] == "3")
    n = helium.count("\n")
    none = "pair_coeff 1 1 none\npair_coeff 1 2 none\npair_coeff 2 2 none\n"
    script = with_style("known", "equipot", f"pair_coeff * * {double_file} Si O\n") + keep("equipot")
    script += with_style("all", "hybrid zbl 3.0 4.0", helium.format(*["zbl"] * n) + none) + keep("zbl")
    coeffs = f"pair_coeff * * equipot {double_file} Si O NULL\n" + helium.format(*["zbl"] * n)
    script += with_style("all", "hybrid equipot zbl 3.0 4.0", coeffs) + keep("both")
    states = kept(good(lmp(script, tmp_path, ranks)), tmp_path)
    assert_sum(states["both"], [states["zbl"], widened(states["equipot"])])


@on_ranks(1, 2, 3)
def test_hybrid_scaled_scales_energy_forces_and_pressure(tmp_path, double_file, ranks):
    # Half of one model and three times another: what thermodynamic integration does.
    alone = begin(tmp_path, double_file) + "run 0\n"
    swapped = alone.replace("Si O\n", "O Si\n")
    style = "hybrid/scaled 0.5 equipot 3.0 equipot"
    coeffs = f"pair_coeff * * equipot 1 {double_file} Si O\npair_coeff * * equipot 2 {double_file} O Si\n"
    script = alone + keep("a") + swapped + keep("b") + with_style("tilted", style, coeffs) + keep("both")
    states = kept(good(lmp(script, tmp_path, ranks)), tmp_path)
    parts = []
    for name, factor in (("a", 0.5), ("b", 3.0)):
        part = states[name]
        scaled = State(
            factor * part.energy, factor * part.pressure, part.ids, part.types, factor * part.forces
        )
        parts.append(scaled)
    assert_sum(states["both"], parts)


BONDED = """
pair_style zero 4.0
pair_coeff * *
bond_style zero
bond_coeff 1
special_bonds lj/coul 0 0 0
create_bonds many all all 1 0.5 2.3
special_bonds lj/coul 1 1 1
"""


@on_ranks(1, 2, 3)
def test_bonds_of_molecules_do_not_matter_when_all_neighbours_are_kept(tmp_path, double_file, ranks):
    # LAMMPS marks bonded neighbours by bits of their index: with weights below 1, and always with long-range charges.
    begin(tmp_path, double_file)
    atoms = TILTED.copy()
    atoms.set_initial_charges(np.zeros(len(atoms)))
    write(tmp_path / "full.data", atoms, format="lammps-data", specorder=list(SPECIES), atom_style="full")
    plain = setup("tilted", double_file) + THERMO
    full = setup("full", double_file).replace("atom_style atomic", "atom_style full")
    room = "full.data extra/bond/types 1 extra/bond/per/atom 20 extra/special/per/atom 64\nmass * 20\n"
    full = full.replace("full.data\n", room).replace("pair_style", f"{BONDED}pair_style", 1)
    script = plain + "run 0\n" + keep("plain") + full + THERMO + "run 0\n" + keep("full")
    script += "special_bonds lj/coul 0.5 0.5 0.5\nrun 0\n" + keep("half")
    coeffs = f"pair_coeff * * coul/long\npair_coeff * * equipot {double_file} Si O\n"
    script += "set atom 1 charge 1e-9\nset atom 2 charge -1e-9\nspecial_bonds lj/coul 1 1 1\n"
    script += f"pair_style hybrid/overlay coul/long 6.0 equipot\n{coeffs}kspace_style ewald 1e-4\nrun 0\n"
    script += keep("long")
    output = good(lmp(script, tmp_path, ranks))
    states = kept(output, tmp_path)
    assert "bonds" in output
    for name in ("full", "half", "long"):
        assert abs(states[name].energy - states["plain"].energy) < 1e-9
        np.testing.assert_allclose(states[name].forces, states["plain"].forces, rtol=0, atol=1e-10)
