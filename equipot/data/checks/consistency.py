"""Checks of the sign and the unit of forces and stresses, by comparison with the energies."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from equipot.data.checks.causes import (
    AGREEMENT,
    FORCE_UNITS,
    GPA,
    RANGE,
    STRESS_UNITS,
    Cause,
    agrees,
    looks_sound,
    sentence,
    unit_of_energies,
    unit_of_labels,
)
from equipot.data.checks.pressure import check_size, check_slope
from equipot.data.checks.report import Finding
from equipot.data.checks.work import (
    Factor,
    Fit,
    Pairs,
    pressure_offset,
    regress,
    shifted,
    similar_pairs,
    why_unknown,
)
from equipot.structures.frame import Frame, config_types

_OFFSET = 2e-3  # eV/Å³, 0.3 GPa: smallest pressure offset that is reported
_LARGEST_OFFSET = 0.125  # eV/Å³, 20 GPa: more than any Pulay stress


def check_work(frames: Sequence[Frame]) -> list[Finding]:
    """Return the findings energy-per-atom, force-sign, force-unit, stress-sign, stress-unit and stress-offset.

    The checks use energy differences of similar frames (see work.py), in the whole set and in each config_type. If the
    differences do not determine the stress, its correlation with the volume and its size are checked.
    """
    pairs = similar_pairs(frames)
    findings, fit = _judge(pairs, "")
    if len(names := config_types(frames)) > 1:
        groups = [
            _judge(similar_pairs([f for f in frames if f.config_type == name]), f" in config_type {name}")[0]
            for name in names
        ]
        findings = _with_groups(findings, groups)
    if fit.force is None and any(f.forces is not None for f in frames):
        message = f"sign and unit cannot be verified: {why_unknown(pairs, pairs.of_forces, 'forces')}"
        findings.append(Finding("force-sign", "note", message, unverified="the sign and unit of the forces"))
    stressed = [
        f for f in frames if f.stress is not None and np.isfinite(f.volume) and np.isfinite(f.stress).all()
    ]
    if not stressed or any(f.level == "error" and f.name.startswith("stress") for f in findings):
        return findings
    if fit.stress is None or not _accepted(fit.stress):
        too_large = check_size(stressed)
        if too_large or fit.stress is not None:
            return findings + too_large
        findings += check_slope(stressed, why_unknown(pairs, pairs.of_stress, "stresses"))
    return findings


def _with_groups(findings: list[Finding], groups: list[list[Finding]]) -> list[Finding]:
    """Return the findings of the whole set with those of the groups that differ.

    If one group is verified and another has an error, the error of the whole set is that of the group.
    """
    for label in ("force", "stress"):
        in_groups = [f for group in groups for f in group if f.name.startswith(label)]
        if {"ok", "error"} <= {f.level for f in in_groups}:
            findings = [f for f in findings if not (f.level == "error" and f.name.startswith(label))]
    if any(f.level == "error" for f in findings):
        return findings
    known = {f.name for f in findings if f.level != "ok"}
    return findings + [f for group in groups for f in group if f.level != "ok" and f.name not in known]


def _judge(pairs: Pairs, where: str) -> tuple[list[Finding], Fit]:
    """Return the findings of pairs, and the fit that they are based on."""
    fit = regress(pairs)
    if (per_atom := _per_atom(pairs, fit, where)) is not None:
        return per_atom
    if (offset := pressure_offset(pairs)) is not None and abs(offset.value) < _LARGEST_OFFSET:
        # A large offset hides the agreement of the rest, and can look like a wrong unit or sign.
        without = regress(shifted(pairs, offset.value))
        sound = bool(without.known) and all(agrees(f.value) for f in without.known)
        if fit.stress is None or (not agrees(fit.stress.value) and sound and without.misfit < fit.misfit):
            fit = without
    if fit.force is not None and fit.stress is not None and not agrees(fit.force.value):
        alike = looks_sound(fit.stress.value / fit.force.value)
        causes = unit_of_energies(fit.force.value) if alike else []
        if causes:
            message = (
                f"forces and stresses agree with each other, but {sentence(causes)}{where} "
                f"({_evidence(fit.force)})"
            )
            return [Finding("force-unit", "error", message, certain=True)], fit
    findings = []
    if fit.force is not None:
        causes = unit_of_labels(fit.force.value, "forces", "eV/Å", FORCE_UNITS)
        causes += unit_of_energies(fit.force.value)
        findings.append(_finding("force", "forces", fit.force, causes, where))
    virial, alone = _virial(pairs, fit)
    if virial is not None and (alone or fit.stress is None):
        message = (
            f"{sentence([virial])}{where} (the energies of {len(pairs.volume)} pairs of similar frames then agree with "
            "their work)"
        )
        findings.append(Finding("stress-unit", "error", message, certain=True))
    elif fit.stress is not None:
        causes = unit_of_labels(fit.stress.value, "stresses", "eV/Å³", STRESS_UNITS)
        causes += [virial] if virial else []
        causes += [] if fit.force is not None else unit_of_energies(fit.stress.value)
        findings.append(_finding("stress", "stresses", fit.stress, causes, where))
        if findings[-1].level == "ok":
            findings += _offset(pairs, where)
    return findings, fit


def _per_atom(pairs: Pairs, fit: Fit, where: str) -> tuple[list[Finding], Fit] | None:
    """Return the finding energy-per-atom and those about the labels if energies times numbers of atoms fit the work."""
    total = replace(pairs, difference=pairs.difference * pairs.n_atoms)
    times_n = regress(total)
    n = float(np.median(pairs.n_atoms)) if len(pairs.n_atoms) else 1.0
    if (
        n == 1
        or any(abs(f.value) > n**-0.5 for f in fit.known)
        or not any(agrees(f.value) for f in times_n.known)
    ):
        return None
    one_size = np.ptp(pairs.n_atoms) < 0.5 * pairs.n_atoms.min()
    if fit.known and not one_size and fit.misfit < times_n.misfit:
        return None  # frames of several sizes decide between a constant factor and the number of atoms
    causes = [Cause("the energies look like energies per atom", "multiply them by the number of atoms")]
    factor = times_n.force or times_n.stress
    assert factor is not None
    if fit.known and one_size:  # a unit can have the same factor
        plain = fit.known[0].value
        causes += unit_of_energies(plain)
        if fit.stress is None:
            causes += unit_of_labels(plain, "forces", "eV/Å", FORCE_UNITS)
    message = f"{sentence(causes)}{where} (times the number of atoms, {_evidence(factor)})"
    rest, fit_of_rest = _judge(total, where)
    wrong = [f for f in rest if f.level == "error"]
    return [Finding("energy-per-atom", "error", message, certain=len(causes) == 1), *wrong], fit_of_rest


def _virial(pairs: Pairs, fit: Fit) -> tuple[Cause | None, bool]:
    """Return the cause if the stresses fit the energies once divided by their volumes, and whether it is the only one.

    A virial has the opposite sign of the stress. The volumes of the pairs tell it from a stress in another unit: the
    ratio is the inverse of the volume, and not the same in all pairs.
    """
    if fit.stress is not None and RANGE[0] < abs(fit.stress.value) < RANGE[1]:
        return None, False
    divided = regress(replace(pairs, of_stress=-pairs.of_stress / pairs.volume))
    if divided.stress is None or not looks_sound(abs(divided.stress.value)):
        return None, False
    is_virial = divided.stress.value > 0
    cause = (
        Cause("the stresses look like a virial in eV", "divide them by minus the volume")
        if is_virial
        else Cause("the stresses look like a virial in eV with the wrong sign", "divide them by the volume")
    )
    if fit.stress is None:
        return cause, True
    by_unit = unit_of_labels(fit.stress.value, "", "", STRESS_UNITS)
    if np.nanmax(pairs.volume) > 1.5 * np.nanmin(pairs.volume):
        alone = divided.misfit < fit.misfit
        return (cause, True) if alone else (None, False)
    return (cause, not by_unit) if is_virial or not by_unit else (None, False)


def _offset(pairs: Pairs, where: str) -> list[Finding]:
    """Return the finding stress-offset if stresses and the slope of the energies differ by a constant pressure."""
    offset = pressure_offset(pairs)
    if offset is None or abs(offset.value) < _OFFSET:
        return []
    side = "less" if offset.value > 0 else "more"
    size = abs(offset.value)
    message = (
        f"the stresses{where} are {1000 * size:.1f} meV/Å³ ({size * GPA:.1f} GPa) {side} tensile than the slope of "
        f"the energies ({offset.n_pairs} pairs of similar frames). A cause may be Pulay stress. The stresses have "
        "another equilibrium volume than the energies. A training shifts them, and leaves them out at its end"
    )
    return [Finding("stress-offset", "warning", message, value=offset.value)]


def _lowest(factor: Factor) -> float:
    """Return the lowest ratio that is accepted. Noise in the work lowers the ratio to about the share of the term."""
    return min(1 - AGREEMENT, max(RANGE[0], 0.8 * factor.share))


def _accepted(factor: Factor) -> bool:
    return _lowest(factor) < factor.value < 1 + AGREEMENT


def _evidence(factor: Factor) -> str:
    return f"energy differences of {factor.n_pairs} pairs of similar frames are {factor.value:.3g} times their work"


def _finding(name: str, plural: str, factor: Factor, causes: list[Cause], where: str) -> Finding:
    value = factor.value
    expected = f"{_evidence(factor)}; accepted {_lowest(factor):.2g} to {1 + AGREEMENT:g}"
    if _accepted(factor):
        message = (
            f"sign and unit of the {plural} verified{where}: {expected} (1 only for infinitely small steps between "
            "frames)"
        )
        return Finding(f"{name}-sign", "ok", message)
    if _accepted(replace(factor, value=-value)):
        meaning = "stress is positive under tension" if name == "stress" else "forces are -dE/dr"
        message = f"the sign of the {plural} is wrong{where}: multiply them by -1 ({meaning}; {expected})"
        return Finding(f"{name}-sign", "error", message, certain=True)
    outside = not RANGE[0] < abs(value) < RANGE[1]
    # Noise in the work lowers a ratio to about the share of the term, but no further, and never below zero.
    clear = value > 1 or value < 0.5 * factor.share
    if causes and (clear or not outside):
        message = f"{sentence(causes)}{where} ({expected})"
        return Finding(f"{name}-unit", "error", message, certain=outside and len(causes) == 1)
    likely = f"; perhaps {sentence(causes)}" if causes else ""
    if value < 0:
        message = (
            f"the {plural} have the wrong sign and another size{where} than the energies imply: {expected}"
        )
        return Finding(f"{name}-sign", "error", message)
    message = (
        f"energies and {plural} disagree{where}: {expected}{likely}. Check their units, and that both are from the "
        "same calculation"
    )
    return Finding(f"{name}-unit", "error" if outside and clear else "warning", message)
