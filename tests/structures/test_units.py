"""Foreign units: declared in a header, or given away by the absolute sizes of a whole set."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from equipot.data.checks import check_frames
from equipot.data.checks.labels import check_validation_labels
from equipot.data.checks.sizes import _all_electrons
from equipot.errors import DataError
from equipot.structures import Frame, frame_from_atoms
from equipot.structures.vasp import unconverged_steps

KCAL, KJ = units.mol / units.kcal, units.mol / units.kJ


def ethanol(reference: float = 0.0) -> list[Frame]:
    """Independent distortions of ethanol with forces of harmonic springs; total energies of all electrons."""
    rng = np.random.default_rng(0)
    rest = molecule("CH3CH2OH")
    frames = []
    for _ in range(12):
        atoms = rest.copy()
        moved = rng.normal(0, 0.05, (len(atoms), 3))
        moved -= moved.mean(axis=0)
        atoms.positions += moved
        energy = -4209.0 - reference + 0.5 * 20.0 * float(np.square(moved).sum())
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=-20.0 * moved)
        frames.append(frame_from_atoms(atoms))
    return frames


def converted(frames: list[Frame], energy: float, length: float = 1.0) -> list[Frame]:
    return [
        replace(f, positions=f.positions * length).relabelled(
            energy=f.energy * energy, forces=f.forces * energy / length
        )
        for f in frames
    ]


def errors(frames: list[Frame]) -> str:
    return " ".join(f.message for f in check_frames(frames).errors())


def test_a_set_in_our_units_has_sizes_that_agree():
    assert not errors(ethanol())


@pytest.mark.parametrize(
    ("energy", "length", "name"),
    [
        (KCAL, 1.0, "kcal/mol"),
        (KJ, 1.0, "kJ/mol"),
        (1 / units.Hartree, 1 / units.Bohr, "Bohr"),
        (1 / units.Rydberg, 1 / units.Bohr, "Bohr"),
        (1.0, 1 / units.Bohr, "Bohr"),
        (1 / units.Hartree, 1.0, "Hartree"),
    ],
)
def test_a_set_in_one_foreign_system_of_units_is_an_error(energy, length, name):
    assert name in errors(converted(ethanol(), energy, length))


def test_large_forces_tell_where_energies_are_counted_from_elsewhere():
    assert "kcal/mol" in errors(converted(ethanol(reference=-4200.0), KCAL))


@pytest.mark.parametrize(
    ("element", "hartree", "tolerance"), [("C", -37.85, 0.01), ("O", -75.07, 0.01), ("Si", -289.4, 0.01)]
)
def test_atoms_have_about_the_energies_of_exact_calculations(element, hartree, tolerance):
    energy = _all_electrons(Atoms(element).numbers)
    assert energy == pytest.approx(hartree * units.Hartree, rel=tolerance)


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("energy-unit", "kcal/mol"),
        ("force_units", "Hartree/Bohr"),
        ("energy_unit", "Ha"),
        ("unitsOfEnergy", "kJ/mol"),
        ("units", "real"),
        ("length_unit", "bohr"),
        ("stress_unit", "GPa"),
        ("energy_unit", "eV/atom"),
    ],
)
def test_a_declared_foreign_unit_is_refused(key, unit):
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]], info={key: unit})
    with pytest.raises(DataError, match="expected eV"):
        frame_from_atoms(atoms)


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("energy_unit", "eV"),
        ("force_unit", "eV/Ang"),
        ("forces-units", "eV/Å"),
        ("stress_units", "eV/Angstrom^3"),
        ("stress_unit", "eV/A**3"),
        ("units", "metal"),
        ("length_unit", "angstrom"),
        ("unit_cell", "conventional"),
    ],
)
def test_our_units_may_be_declared_and_are_no_labels(key, unit):
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]], info={key: unit})
    assert frame_from_atoms(atoms).unread == ()


@pytest.mark.parametrize(
    ("key", "shape", "named"),
    [
        ("force", "atoms", "forces_key: force"),
        ("dft_frc", "atoms", "forces_key: dft_frc"),
        ("gradient", "atoms", "write its negative as forces"),
        ("REF_virial", "frame", "virial_key: REF_virial"),
        ("DFT_stress", "frame", "stress_key: DFT_stress"),
    ],
)
def test_a_label_under_another_name_in_all_frames_is_an_error(key, shape, named):
    frames = []
    for frame in ethanol():
        atoms = frame.to_atoms()
        atoms.calc = None
        atoms.info["energy"] = frame.energy
        if shape == "atoms":
            atoms.arrays[key] = frame.forces
        else:
            atoms.info[key] = np.eye(3)
        frames.append(frame_from_atoms(atoms))
    assert named in errors(frames)
    assert "unread-keys" not in {f.name for f in check_frames(frames[:6] + ethanol()[6:]).errors()}


def test_validation_frames_without_a_kind_of_label_are_a_warning():
    train = ethanol()
    without = [f.relabelled(forces=None) for f in train]
    assert [f.level for f in check_validation_labels(train, without)] == ["warning"]
    assert check_validation_labels(train, train) == []
    assert check_validation_labels(without, train) == []


def test_frames_whose_electrons_did_not_converge_are_an_error():
    frames = ethanol()
    atoms = frames[0].to_atoms()
    atoms.info["scf_converged"] = False
    frames[0] = frame_from_atoms(atoms, source="run#0")
    assert "run#0" in errors(frames)


def test_a_relaxation_that_did_not_converge_is_no_fault_of_its_labels():
    atoms = ethanol()[0].to_atoms()
    atoms.info["converged"] = False
    assert frame_from_atoms(atoms).scf_converged


def test_frames_of_different_charge_are_a_note():
    frames = ethanol()
    atoms = frames[0].to_atoms()
    atoms.info["charge"] = 1
    frames[0] = frame_from_atoms(atoms)
    (finding,) = check_frames(frames).of("charge-spin")
    assert finding.level == "note"
    assert "charge 1" in finding.message


def test_vasp_says_which_steps_did_not_converge(tmp_path):
    counts = [12, 60, 31]
    steps = "".join(f"<calculation>{'<scstep></scstep>' * n}</calculation>" for n in counts)
    xml = tmp_path / "vasprun.xml"
    xml.write_text(f'<modeling><parameters><i type="int" name="NELM">60</i></parameters>{steps}</modeling>')
    assert unconverged_steps(xml, "vasp-xml") == {1}
    outcar = tmp_path / "OUTCAR"
    good = "------------------------ aborting loop because EDIFF is reached ----------------------\n"
    bad = "------------------------ aborting loop EDIFF was not reached (unconverged)  ----------\n"
    outcar.write_text(good + bad + good)
    assert unconverged_steps(outcar, "vasp-out") == {1}
