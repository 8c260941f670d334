"""Each test breaks a sound set in one way and wants that named, and nothing else."""

import re
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from rich.console import Console

from equipot.data.checks import NAMES, Finding, Report, check_frames
from equipot.errors import ConfigError, DataError
from equipot.structures import Frame, frame_from_atoms
from tests.copper import strained_layers


def levels(frames, **options):
    """Findings graver than a note, as (name, level)."""
    return {
        (f.name, f.level) for f in check_frames(frames, **options).findings if f.level in ("warning", "error")
    }


def message(frames, name):
    return " ".join(f.message for f in check_frames(frames).of(name))


@pytest.fixture(params=["volume_scan", "trajectory", "strained_trajectory", "silicon"])
def sound(request):
    return request.getfixturevalue(request.param)


def test_a_sound_set_passes(sound):
    assert levels(sound) == set()
    report = check_frames(sound)
    assert {f.name for f in report.findings} <= set(NAMES)
    report.raise_on_errors()
    assert report.verdict().startswith("READY: 0 errors, 0 warnings")


@pytest.mark.parametrize("name", ["volume_scan", "strained_trajectory", "silicon"])
@pytest.mark.parametrize(
    ("factor", "finding", "words"),
    [
        (-1.0, "stress-sign", "is wrong"),
        (160.21766, "stress-unit", "GPa"),
        (1602.1766, "stress-unit", "kbar"),
        (-1602.1766, "stress-unit", "kbar"),
        (1 / 183.63, "stress-unit", "Hartree/Bohr³"),
    ],
)
def test_stress_of_another_sign_or_unit_is_an_error_naming_it(request, name, factor, finding, words):
    frames = [f.relabelled(stress=f.stress * factor) for f in request.getfixturevalue(name)]
    assert levels(frames) == {(finding, "error")}
    assert words in message(frames, finding)


def test_a_virial_given_as_stress_is_an_error(volume_scan):
    frames = [f.relabelled(stress=f.stress * f.volume) for f in volume_scan]
    assert levels(frames) == {("stress-unit", "error")}
    assert "virial" in message(frames, "stress-unit")


def test_a_flipped_stress_is_found_without_forces(volume_scan):
    frames = [f.relabelled(stress=-f.stress, forces=None) for f in volume_scan]
    assert levels(frames) == {("stress-sign", "error")}


def test_a_flipped_stress_is_found_by_volume_where_energies_cannot_tell(silicon):
    # Sparse sampling: no two frames are similar, but pressure still follows the volume.
    frames = [f for f in silicon if f.config_type == "md1500K"]
    assert ("stress-sign", "error") not in levels([f.relabelled(energy=None) for f in frames])
    assert ("stress-sign", "error") in levels([f.relabelled(energy=None, stress=-f.stress) for f in frames])


def test_a_flipped_stress_in_one_config_type_alone_is_found(silicon):
    frames = [f.relabelled(stress=-f.stress) if f.config_type == "volume" else f for f in silicon]
    assert levels(frames) == {("stress-sign", "error")}
    assert "config_type volume" in message(frames, "stress-sign")


@pytest.mark.parametrize("pressure", [0.01, -0.01])
def test_stresses_a_pressure_off_the_energies_are_a_warning_with_the_pressure(volume_scan, pressure):
    off = [f.relabelled(stress=f.stress + pressure * np.eye(3)) for f in volume_scan]
    assert levels(off) == {("stress-offset", "warning")}
    found = message(off, "stress-offset")
    assert float(re.search(r"are ([0-9.]+) meV/Å³", found).group(1)) == pytest.approx(10, rel=0.05)
    assert ("more tensile" if pressure > 0 else "less tensile") in found


def test_huge_stresses_are_an_error_even_when_nothing_can_be_compared(silicon):
    frames = [f.relabelled(stress=f.stress * 1602) for f in silicon if f.config_type == "vacancy"]
    assert levels(frames) == {("stress-unit", "error")}


def test_huge_stresses_that_come_with_huge_forces_are_no_error(label):
    rng = np.random.default_rng(3)
    frames = []
    for k in range(6):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell * rng.uniform(0.6, 0.75), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.3, (4, 3))
        frames.append(label(atoms, source=f"dense#{k}"))
    assert np.median([np.abs(f.stress).max() for f in frames]) > 1.0
    assert not {f for f in levels(frames) if f[0].startswith("stress")}


def test_labels_copied_onto_other_structures_allow_no_claim_about_units(silicon):
    rng = np.random.default_rng(0)
    moved = [
        replace(f, positions=f.positions + rng.normal(0, 1e-3, (len(f), 3)))
        for _ in range(8)
        for f in silicon
    ]
    assert levels(moved) == set()


def test_stress_that_cannot_be_verified_is_said_to_be_so(silicon):
    frames = [f for f in silicon if f.config_type == "vacancy"]
    assert "cannot be verified" in message(frames, "stress-sign")


@pytest.mark.parametrize(
    ("factor", "finding", "words"),
    [
        (-1.0, "force-sign", "is wrong"),
        (1 / 51.42207, "force-unit", "Hartree/Bohr"),
        (23.06, "force-unit", "kcal/mol/Å"),
    ],
)
@pytest.mark.parametrize("name", ["trajectory", "silicon"])
def test_forces_of_another_sign_or_unit_are_an_error_naming_it(request, name, factor, finding, words):
    frames = [f.relabelled(forces=f.forces * factor) for f in request.getfixturevalue(name)]
    found = {f for f in levels(frames) if f[1] == "error"}
    assert found == {(finding, "error")}
    assert words in message(frames, finding)


def test_energies_in_hartree_are_an_error(silicon):
    frames = [f.relabelled(energy=f.energy / 27.2114) for f in silicon]
    assert ("force-unit", "error") in levels(frames)
    assert "Hartree" in message(frames, "force-unit")


def test_energies_per_atom_are_an_error_by_work_and_by_size(silicon, volume_scan):
    same_size = [f.relabelled(energy=f.energy / len(f)) for f in silicon]
    assert ("energy-per-atom", "error") in levels(same_size)
    whole = [f.relabelled(energy=f.energy - 3.5 * len(f), forces=None, stress=None) for f in volume_scan]
    whole += [_repeated(f) for f in whole[::2]]
    divided = [f.relabelled(energy=f.energy / len(f)) for f in whole]
    assert ("energy-per-atom", "error") in levels(divided)
    assert levels(whole) == set()


def test_energies_per_atom_are_found_without_stresses_too(trajectory):
    frames = [f.relabelled(energy=f.energy / len(f), stress=None) for f in trajectory]
    assert levels(frames) == {("energy-per-atom", "error")}
    assert "multiply them by the number of atoms" in message(frames, "energy-per-atom")


def _repeated(frame):
    atoms = Atoms(frame.numbers, positions=frame.positions, cell=frame.cell, pbc=True).repeat((2, 1, 1))
    return replace(
        frame_from_atoms(atoms, source="double").relabelled(energy=2 * frame.energy),
        energy_key=frame.energy_key,
    )


@pytest.mark.parametrize("field", ["energy", "forces", "stress", "positions"])
def test_nan_anywhere_is_an_error_naming_the_frame(trajectory, field):
    value = getattr(trajectory[3], field)
    broken = np.array(value, dtype=float)
    broken.flat[-1] = np.nan
    frames = list(trajectory)
    in_geometry = field == "positions"
    changed = {field: broken}
    frames[3] = replace(frames[3], **changed) if in_geometry else frames[3].relabelled(**changed)
    assert levels(frames) == {("finite", "error")}
    assert "md.extxyz#3" in message(frames, "finite")
    assert field in message(frames, "finite")


def test_duplicates_are_a_warning_and_an_error_where_labels_conflict(trajectory):
    assert levels([*trajectory, trajectory[2]]) == {("duplicates", "warning")}
    other = replace(trajectory[2].relabelled(energy=trajectory[2].energy + 0.1), source="again#0")
    assert ("conflicting-labels", "error") in levels([*trajectory, other])
    assert "again#0" in message([*trajectory, other], "conflicting-labels")


_UNREAD = (("REF_forces", "forces"), ("dft_energy", "energy"))


def test_unread_labels_are_named_with_the_key_that_reads_them(trajectory):
    frames = [replace(f.relabelled(energy=None, forces=None), unread=_UNREAD) for f in trajectory]
    found = levels(frames)
    assert ("energies", "error") in found
    assert ("unread-keys", "error") in found
    assert "energy_key: dft_energy" in message(frames, "energies")
    assert "forces_key: REF_forces" in message(frames, "unread-keys")


def test_energies_without_forces_are_a_note(volume_scan):
    frames = [f.relabelled(forces=None) for f in volume_scan]
    assert [f.level for f in check_frames(frames).of("forces")] == ["note"]


def test_frames_without_energy_are_counted(trajectory):
    frames = [f.relabelled(energy=None) if k in (1, 4) else f for k, f in enumerate(trajectory)]
    assert ("energies", "warning") in levels(frames)
    assert check_frames(frames).of("energies")[0].frames == (1, 4)


def test_energies_read_from_different_keys_are_a_warning(trajectory):
    frames = [replace(trajectory[0], energy_key="energy"), *trajectory[1:]]
    assert levels(frames) == {("energies", "warning")}


def test_forces_of_fixed_atoms_set_to_zero_are_found_by_their_sum(trajectory):
    frames = [f.relabelled(forces=f.forces * np.array([[1], [0], [1], [1]])) for f in trajectory]
    assert ("net-force", "error") in levels(frames)


def test_a_periodic_frame_without_volume_is_an_error(trajectory):
    frames = [*trajectory, replace(trajectory[0], cell=np.zeros((3, 3)), source="flat#0")]
    assert ("periodicity", "error") in levels(frames)
    assert "flat#0" in message(frames, "periodicity")


def test_mixed_periodicity_is_a_note_and_stress_without_volume_a_warning(trajectory):
    slab = replace(trajectory[0], pbc=np.array([True, True, False]), source="slab#0")
    assert levels([*trajectory, slab]) == set()
    assert "TTF 1" in message([*trajectory, slab], "periodicity")
    flat = replace(slab, cell=slab.cell * [[1], [1], [0]], source="flat#0")
    assert levels([*trajectory, flat]) == {("stresses", "warning")}
    assert "1 frames have a stress but no volume, so the stress is not used: flat#0" in message(
        [*trajectory, flat], "stresses"
    )


def test_the_stress_of_strained_layers_is_verified_whatever_their_vacuum():
    layers = strained_layers()
    assert levels(layers) == set()
    assert "sign and unit of the stresses verified" in message(layers, "stress-sign")
    flipped = [f.relabelled(stress=-f.stress) for f in layers]
    assert ("stress-sign", "error") in levels(flipped)
    stress_alone = [f.relabelled(energy=None, forces=None) for f in layers]
    assert ("stress-sign", "error") not in levels(
        stress_alone
    )  # the correlation with the volume is the vacuum's


def test_atoms_on_each_other_are_an_error_and_close_ones_a_warning(trajectory):
    for distance, level in [(0.05, "error"), (0.4, "warning")]:
        positions = trajectory[0].positions.copy()
        positions[1] = positions[0] + [distance, 0, 0]
        frames = [*trajectory, replace(trajectory[0], positions=positions, source="near#0")]
        assert ("coincident-atoms", level) in levels(frames)


def test_atoms_without_neighbours_are_a_warning_and_no_neighbours_at_all_an_error(trajectory):
    lone = frame_from_atoms(Atoms("Cu3", positions=[[0, 0, 0], [2.5, 0, 0], [20, 0, 0]]))
    assert ("isolated-atoms", "warning") in levels(
        [*trajectory, replace(lone.relabelled(energy=10.0), energy_key="free_energy")]
    )
    assert ("neighbours", "error") in levels(trajectory, cutoff=1.0)


def test_isolated_atoms_are_reference_energies_and_no_fault(trajectory):
    free = replace(
        frame_from_atoms(Atoms("Cu"), source="atom#0").relabelled(energy=3.5), energy_key="free_energy"
    )
    report = check_frames([*trajectory, free])
    assert report.errors() == []
    assert "total energies" in report.of("energy-kind")[0].message
    zero = check_frames(
        [*[f.relabelled(energy=f.energy - 3.5 * len(f)) for f in trajectory], free.relabelled(energy=0.0)]
    )
    assert "cohesive" in zero.of("energy-kind")[0].message


def test_reference_energies_that_were_subtracted_already_are_an_error(silicon):
    total = [f.relabelled(energy=f.energy - 150.0 * len(f)) for f in silicon]
    assert levels(total, e0={"Si": -150.8}) == set()
    assert ("energy-kind", "error") in levels(silicon, e0={"Si": -150.8})


def test_outliers_are_warnings_naming_the_frame(silicon):
    frames = list(silicon)
    frames[7] = frames[7].relabelled(energy=frames[7].energy + 80.0)
    assert ("energy-outliers", "warning") in levels(frames)
    assert "silicon.extxyz#7" in message(frames, "energy-outliers")
    forces = silicon[5].forces.copy()
    forces[0, 0] += 500.0
    forces[1, 0] -= 500.0
    frames = [*silicon[:5], silicon[5].relabelled(forces=forces), *silicon[6:]]
    assert ("force-outliers", "warning") in levels(frames)
    assert "silicon.extxyz#5" in message(frames, "force-outliers")


def test_an_empty_set_and_a_frame_without_atoms_do_not_crash_the_checks(trajectory):
    assert check_frames([]).errors()
    nothing = Frame(np.zeros(0, int), np.zeros((0, 3)), np.zeros((3, 3)), np.zeros(3, bool)).relabelled(
        energy=0.0
    )
    assert check_frames([nothing]).errors()
    assert check_frames([*trajectory, replace(nothing, energy_key="free_energy")]).errors() == []


def test_accepted_errors_do_not_stop_and_misspelt_names_are_refused():
    report = Report([Finding("stress-sign", "error", "flipped"), Finding("finite", "error", "NaN")], 3)
    with pytest.raises(DataError, match=r"stress-sign: flipped \(and 1 more\)"):
        report.raise_on_errors()
    with pytest.raises(DataError, match="finite: NaN;"):
        report.raise_on_errors(["stress-sign"])
    report.raise_on_errors(["stress-sign", "finite"])
    with pytest.raises(ConfigError, match="did you mean 'stress-sign'"):
        report.errors(["stress-sing"])


def test_the_printed_report_ends_in_a_verdict():
    console = Console(record=True, width=100)
    report = Report([Finding("stress-sign", "error", "flipped [bold]"), Finding("finite", "ok", "fine")], 3)
    report.print(console)
    text = console.export_text().strip().splitlines()
    assert text[-1].startswith("NOT READY: 1 error, 0 warnings")
    assert any("flipped [bold]" in line for line in text)
    console = Console(record=True, width=100)
    report.print(console, accept=["stress-sign"])
    assert (
        console.export_text()
        .strip()
        .splitlines()[-1]
        .startswith("READY: 0 errors, 0 warnings, 1 error accepted")
    )
