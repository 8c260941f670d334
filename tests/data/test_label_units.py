"""Labels of another unit, sign or quantity are named with the factor that corrects them, and sound ones are not."""

import numpy as np
import pytest

from equipot.data.checks import Finding, Report, check_frames
from equipot.errors import DataError
from equipot.structures import Frame
from tests import copper

GPA = 160.21766  # GPa in one eV/Å³


@pytest.fixture(scope="module")
def mixed() -> list[Frame]:
    return copper.strained_and_rattled()


def errors(frames: list[Frame]) -> list[tuple[str, str]]:
    return [(f.name, f.message) for f in check_frames(frames).findings if f.level == "error"]


@pytest.mark.parametrize("seed", range(4))
def test_structures_of_several_sizes_far_apart_are_sound(seed):
    verdict = check_frames(copper.strained_and_rattled(seed)).verdict()
    assert verdict.startswith("READY: 0 errors, 0 warnings")
    assert "forces" not in verdict


@pytest.mark.parametrize(
    ("fault", "name", "sentence"),
    [
        (
            lambda f: {"stress": GPA * f.stress},
            "stress-unit",
            "GPa instead of eV/Å³: multiply them by 0.0062415",
        ),
        (
            lambda f: {"stress": 10 * GPA * f.stress},
            "stress-unit",
            "kbar instead of eV/Å³: multiply them by 0.000624",
        ),
        (lambda f: {"stress": -10 * GPA * f.stress}, "stress-unit", "multiply them by -0.00062415"),
        (lambda f: {"stress": -f.stress}, "stress-sign", "is wrong: multiply them by -1"),
        (
            lambda f: {"stress": -f.volume * f.stress},
            "stress-unit",
            "a virial in eV: divide them by minus the volume",
        ),
        (lambda f: {"stress": 30 * f.stress}, "stress-unit", "disagree"),
        (
            lambda f: {"energy": f.energy / len(f)},
            "energy-per-atom",
            "per atom: multiply them by the number of atoms",
        ),
        (
            lambda f: {"energy": f.energy / 27.2114},
            "force-unit",
            "Hartree instead of eV: multiply them by 27.211",
        ),
        (lambda f: {"forces": -f.forces}, "force-sign", "is wrong: multiply them by -1"),
        (
            lambda f: {"forces": f.forces / 51.42207},
            "force-unit",
            "Hartree/Bohr instead of eV/Å: multiply them by 51.4",
        ),
    ],
    ids=[
        "GPa",
        "kbar",
        "-kbar",
        "-stress",
        "virial",
        "other",
        "per atom",
        "Hartree",
        "-forces",
        "Hartree/Bohr",
    ],
)
def test_a_fault_is_named_with_its_remedy_and_nothing_else(mixed, fault, name, sentence):
    found = errors([f.relabelled(**fault(f)) for f in mixed])
    assert [n for n, _ in found] == [name]
    assert sentence in found[0][1]


def test_energies_per_atom_are_named_among_frames_of_31_and_32_atoms():
    frames = copper.strained_and_rattled(1, (32, 31))
    found = errors([f.relabelled(energy=f.energy / len(f)) for f in frames])
    assert [n for n, _ in found] == ["energy-per-atom"]
    assert "multiply them by the number of atoms" in found[0][1]


def test_only_a_negative_ratio_can_be_a_virial(silicon):
    # The cells have 160 Å³, so one over the volume is also the factor of GPa.
    ((_, in_gpa),) = errors([f.relabelled(stress=GPA * f.stress) for f in silicon])
    assert "GPa" in in_gpa
    assert "virial" not in in_gpa
    ((_, virial),) = errors([f.relabelled(stress=-f.volume * f.stress) for f in silicon])
    assert "virial in eV (divide them by minus the volume)" in virial
    assert "GPa with the wrong sign" in virial


@pytest.mark.parametrize("part", [-1.0, 0.7])
def test_a_pulay_stress_as_large_as_the_stress_is_an_offset_and_no_wrong_unit(part):
    # All volumes are above that of equilibrium: the stress changes little, so that a constant nearly acts as a factor.
    frames = [f for f in copper.scan(25) if f.volume > 50]
    pressure = part * np.mean([np.trace(f.stress) / 3 for f in frames])
    shifted = [f.relabelled(stress=f.stress - pressure * np.eye(3)) for f in frames]
    findings = check_frames(shifted).findings
    assert {(f.name, f.level) for f in findings if f.level in ("warning", "error")} == {
        ("stress-offset", "warning")
    }


def test_the_verdict_names_what_could_not_be_verified(mixed):
    frames = [f.relabelled(energy=None if k % 2 else f.energy) for k, f in enumerate(mixed[30:34])]
    verdict = check_frames(frames).verdict()
    assert verdict.startswith("READY")
    assert (
        "but the sign and unit of the forces and the sign and unit of the stresses could not be verified"
        in verdict
    )


def test_nobody_is_advised_to_accept_an_error_whose_cause_is_certain():
    certain = Report([Finding("force-sign", "error", "flipped", certain=True)], 3)
    with pytest.raises(DataError) as caught:
        certain.raise_on_errors()
    assert "accept" not in str(caught.value)
    assert "accept" not in certain.verdict()
    judged = Report([Finding("net-force", "error", "not zero")], 3)
    with pytest.raises(DataError, match=r"`accept: \[net-force\]`"):
        judged.raise_on_errors()
    assert "accept intended errors" in judged.verdict()
