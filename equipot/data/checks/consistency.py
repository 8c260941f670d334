"""Checks of the sign and the unit of forces and stresses, by comparison with the energies."""

from collections.abc import Sequence

import numpy as np
from ase import units

from equipot.data.checks.report import Finding
from equipot.data.checks.work import Factor, Pairs, pressure_offset, regress, shifted, similar_pairs
from equipot.structures.frame import Frame, config_types

_GPA = 1 / units.GPa  # GPa in one eV/Å³: 160.2
_KCAL = units.mol / units.kcal  # kcal/mol in one eV: 23.06

# The ratio of energy difference and work if the unit of a label is wrong.
_FORCE_UNITS = {
    1 / units.Bohr: "eV/Bohr (or energies and forces are both in Hartree atomic units)",
    units.Hartree / units.Bohr: "Hartree/Bohr",
    units.Rydberg / units.Bohr: "Rydberg/Bohr",
    units.Hartree: "Hartree/Å",
    units.Rydberg: "Rydberg/Å",
    1 / _KCAL: "kcal/mol/Å",
    1 / (4.184 * _KCAL): "kJ/mol/Å",
}
_STRESS_UNITS = {1 / _GPA: "GPa", 0.1 / _GPA: "kbar", units.Hartree / units.Bohr**3: "Hartree/Bohr³"}
_ENERGY_UNITS = {
    1 / units.Hartree: "Hartree",
    1 / units.Rydberg: "Rydberg",
    _KCAL: "kcal/mol",
    4.184 * _KCAL: "kJ/mol",
    1000.0: "meV",
}
_TOLERANCE = 0.12  # largest relative difference between a factor and a known one
_OFFSET = 2e-3  # eV/Å³, 0.3 GPa: smallest pressure offset that is reported
# Largest deviation from 1 that counts as agreement. Pulay stress and large steps add some per cent.
_AGREEMENT = 0.25


def check_work(frames: Sequence[Frame]) -> list[Finding]:
    """Return the findings force-sign, force-unit, stress-sign, stress-unit and stress-offset.

    The checks use energy differences of similar frames (see work.py), in the whole set and in each config_type. If the
    differences do not determine the stress, its correlation with the volume and its size are checked.
    """
    has_forces = any(f.forces is not None for f in frames)
    stressed = [
        f for f in frames if f.stress is not None and np.isfinite(f.volume) and np.isfinite(f.stress).all()
    ]
    findings, forces_known, stress_known = _judge(frames, "")
    if not any(f.level == "error" for f in findings) and len(names := config_types(frames)) > 1:
        for name in names:
            group, *_ = _judge([f for f in frames if f.config_type == name], f" in config_type {name}")
            known = {f.name for f in findings if f.level != "ok"}
            findings += [f for f in group if f.level != "ok" and f.name not in known]
    if has_forces and not forces_known:
        findings.append(
            Finding(
                "force-sign",
                "note",
                "sign and unit cannot be verified: there are no similar frames whose energies can be compared",
            )
        )
    if stressed and not stress_known:
        findings += _without_energies(stressed)
    return findings


def _judge(frames: Sequence[Frame], where: str) -> tuple[list[Finding], bool, bool]:
    pairs = similar_pairs(frames)
    force, stress = regress(pairs)
    if stress is None and (offset := pressure_offset(pairs)) is not None:
        # A large offset hides the agreement of the rest.
        force, stress = regress(shifted(pairs, offset.value))
    if force is not None and stress is not None:
        common = _common_factor(force, stress, pairs)
        if common:
            message = f"forces and stresses agree with each other, but the energies{where} look like {common}"
            return (
                [Finding("energy-per-atom" if "atom" in common else "force-unit", "error", message)],
                True,
                True,
            )
    findings = []
    if force is not None:
        energy_units = dict(_ENERGY_UNITS)
        if np.ptp(pairs.n_atoms) == 0:
            energy_units[1 / pairs.n_atoms[0]] = "eV per atom"
        findings.append(_finding("force", "forces", "eV/Å", force, _FORCE_UNITS, energy_units, where))
    if stress is not None:
        volume = float(np.nanmean(pairs.volume))
        stress_units = {**_STRESS_UNITS, 1 / volume: "eV (a virial; virial_key divides it by -volume)"}
        findings.append(_finding("stress", "stresses", "eV/Å³", stress, stress_units, _ENERGY_UNITS, where))
        if findings[-1].level == "ok":
            findings += _offset(pairs, where)
    return findings, force is not None, stress is not None


def _offset(pairs: Pairs, where: str) -> list[Finding]:
    """Return the finding stress-offset if stresses and the slope of the energies differ by a constant pressure."""
    offset = pressure_offset(pairs)
    if offset is None or abs(offset.value) < _OFFSET:
        return []
    side = "less" if offset.value > 0 else "more"
    size = abs(offset.value)
    message = (
        f"the stresses{where} are {1000 * size:.1f} meV/Å³ ({size * _GPA:.1f} GPa) {side} tensile than the slope of "
        f"the energies ({offset.n_pairs} pairs of similar frames). A cause may be Pulay stress. The stresses have "
        "another equilibrium volume than the energies. A training shifts them, and leaves them out at its end"
    )
    return [Finding("stress-offset", "warning", message, value=offset.value)]


def _common_factor(force: Factor, stress: Factor, pairs: Pairs) -> str | None:
    if abs(force.value / stress.value - 1) > _AGREEMENT or abs(force.value - 1) < _AGREEMENT:
        return None
    if np.ptp(pairs.n_atoms) == 0 and _near(force.value, 1 / pairs.n_atoms[0]):
        return f"energies per atom (energy differences are 1/{pairs.n_atoms[0]:.0f} of the work)"
    names = [name for factor, name in _ENERGY_UNITS.items() if _near(force.value, factor)]
    return f"{' or '.join(names)} (factor {force.value:.3g})" if names else None


def _finding(
    name: str,
    plural: str,
    unit: str,
    factor: Factor,
    label_units: dict[float, str],
    energy_units: dict[float, str],
    where: str,
) -> Finding:
    value = factor.value
    evidence = (
        f"energy differences of {factor.n_pairs} pairs of similar frames are {value:.3g} times their work"
    )
    if abs(value - 1) < _AGREEMENT:
        return Finding(f"{name}-sign", "ok", f"sign and unit of the {plural} verified{where}: {evidence}")
    sign_note = "" if value > 0 else ", with the wrong sign"
    if abs(abs(value) - 1) < _AGREEMENT:
        expected = "it must be positive under tension" if name == "stress" else "forces must be -dE/dr"
        message = f"the sign of the {plural} is wrong{where} ({expected}): {evidence}"
        return Finding(f"{name}-sign", "error", message)
    names = [n for f, n in label_units.items() if _near(abs(value), f)]
    energies = [n for f, n in energy_units.items() if _near(abs(value), f)]
    if names or energies:
        causes = [f"the {plural} look like {' or '.join(names)} instead of {unit}"] * bool(names)
        causes += [f"the energies look like {' or '.join(energies)} instead of eV"] * bool(energies)
        return Finding(f"{name}-unit", "error", f"{', or '.join(causes)}{sign_note}{where}: {evidence}")
    if value < 0:
        message = f"the {plural} have the wrong sign and the wrong size{where}: {evidence}; expected 1"
        return Finding(f"{name}-sign", "error", message)
    return Finding(
        f"{name}-unit", "warning", f"energies and {plural} disagree{where}: {evidence}; expected 1"
    )


def _near(value: float, factor: float) -> bool:
    return abs(value / factor - 1) < _TOLERANCE


def _without_energies(frames: list[Frame]) -> list[Finding]:
    sizes = np.array([np.abs(f.stress).max() for f in frames if f.stress is not None])
    typical = float(np.median(sizes))
    if typical > 1.0 and _beyond_forces(frames):
        message = (
            f"stresses are typically {typical:.3g} eV/Å³, {typical * _GPA:.0f} GPa, more than in solids at ordinary "
            "pressures; they look like GPa or kbar (1 eV/Å³ = 160.2 GPa = 1602 kbar), or a virial in eV"
        )
        return [Finding("stress-unit", "error", message)]
    slope = _pressure_slope(frames)
    if slope is not None and slope[0] < 0:
        message = (
            f"larger cells have more negative stress in {slope[1]} frames of one composition (correlation "
            f"{slope[0]:.2f}); "
            "stress is positive under tension and must increase with the volume: its sign is wrong"
        )
        return [Finding("stress-sign", "error", message)]
    if slope is not None:
        message = (
            f"stress increases with the volume in {slope[1]} frames (correlation {slope[0]:.2f}), as expected"
        )
        return [
            Finding("stress-sign", "ok", message),
            Finding(
                "stress-unit", "note", f"not verified; typical size {typical * _GPA:.3g} GPa if read as eV/Å³"
            ),
        ]
    message = f"sign and unit cannot be verified; typical size {typical * _GPA:.3g} GPa if read as eV/Å³"
    return [Finding("stress-sign", "note", message)]


def _beyond_forces(frames: Sequence[Frame]) -> bool:
    """Return whether the stresses are much larger than the forces and distances allow.

    A virial is a sum of forces times distances. So the stress times the volume per atom has the size of a force times
    the distance of neighbours, also in a strongly compressed set.
    """
    ratios = []
    for frame in frames:
        if (
            frame.forces is None
            or frame.stress is None
            or not np.isfinite(frame.forces).all()
            or not len(frame)
        ):
            continue
        size = float(np.sqrt(np.mean(np.square(frame.forces))))
        volume = frame.volume / len(frame)
        if size > 1e-2:  # in a stressed crystal, forces may cancel by symmetry
            ratios.append(float(np.abs(frame.stress).max()) * volume / (size * volume ** (1 / 3)))
    return not ratios or float(np.median(ratios)) > 20.0


def _pressure_slope(frames: list[Frame]) -> tuple[float, int] | None:
    """Return the correlation of the mean stress with the volume, and the number of frames; None if it is not clear.

    Only frames of the most frequent composition are used. Layers are left out, because their vacuum changes the volume
    and the stress without a strain.
    """
    groups: dict[bytes, list[Frame]] = {}
    for frame in (f for f in frames if f.pbc.all()):
        groups.setdefault(np.sort(frame.numbers).tobytes(), []).append(frame)
    members = max(groups.values(), key=len, default=[])
    volume = np.array([f.volume for f in members])
    trace = np.array([np.trace(f.stress) for f in members if f.stress is not None])
    if len(members) < 10 or np.std(np.log(volume)) < 0.01 or np.std(trace) == 0:
        return None
    correlation = float(np.corrcoef(np.log(volume), trace)[0, 1])
    return (correlation, len(members)) if abs(correlation) > 0.8 else None
