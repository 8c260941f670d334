"""The known causes of a wrong ratio between energy differences and the work of forces and stresses."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import units

GPA = 1 / units.GPa  # GPa in one eV/Å³: 160.2
_KCAL = units.mol / units.kcal  # kcal/mol in one eV: 23.06

# The factor that converts a label in this unit.
FORCE_UNITS = {
    "eV/Bohr (or energies and forces both have Hartree atomic units)": 1 / units.Bohr,
    "Hartree/Bohr": units.Hartree / units.Bohr,
    "Rydberg/Bohr": units.Rydberg / units.Bohr,
    "Hartree/Å": units.Hartree,
    "Rydberg/Å": units.Rydberg,
    "kcal/mol/Å": 1 / _KCAL,
    "kJ/mol/Å": 1 / (4.184 * _KCAL),
}
STRESS_UNITS = {
    "GPa": 1 / GPA,
    "kbar": 0.1 / GPA,
    "MPa": 1e-3 / GPA,
    "Hartree/Bohr³": units.Hartree / units.Bohr**3,
    "eV/Bohr³ (or energies and stresses both have Hartree atomic units)": 1 / units.Bohr**3,
}
ENERGY_UNITS = {
    "Hartree": units.Hartree,
    "Rydberg": units.Rydberg,
    "kcal/mol": 1 / _KCAL,
    "kJ/mol": 1 / (4.184 * _KCAL),
    "meV": 1e-3,
}

# Largest deviation from 1 that counts as agreement. Finite steps, noise and Pulay stress make the ratio of sound labels
# differ from 1, mostly downwards.
AGREEMENT = 0.25
RANGE = (0.3, 3.0)  # no such deviation makes the ratio leave this range
# The ratio of sound labels with some margin: noise lowers it, and that of stresses most. A ratio within RANGE has other
# likely causes than a unit.
SOUND = (0.55, 1.35)
_SOUND_IN_RANGE = (0.82, 1.22)
_AS_NEAR = 0.12  # units whose factors differ by less from the nearest one cannot be told apart


@dataclass(frozen=True)
class Cause:
    """A cause of a wrong ratio, and its remedy."""

    fault: str
    remedy: str


def agrees(value: float) -> bool:
    """Return whether a ratio is that of labels that fit the energies."""
    return abs(value - 1) < AGREEMENT


def looks_sound(value: float) -> bool:
    """Return whether a ratio may be that of sound labels, once they are corrected by a known factor."""
    return SOUND[0] < value < SOUND[1]


def unit_of_labels(value: float, plural: str, unit: str, known: Mapping[str, float]) -> list[Cause]:
    """Return the causes of a ratio if the labels have another unit or sign; the sign is that of the ratio."""
    sign, note = (1, "") if value > 0 else (-1, " with the wrong sign")
    return [
        Cause(
            f"the {plural} look like {name}{note} instead of {unit}", f"multiply them by {sign * factor:.5g}"
        )
        for name, factor in _near(abs(value), known)
    ]


def unit_of_energies(value: float) -> list[Cause]:
    """Return the causes of a ratio if the energies have another unit."""
    inverse = {name: 1 / factor for name, factor in ENERGY_UNITS.items()}
    return [
        Cause(f"the energies look like {name} instead of eV", f"multiply them by {1 / factor:.5g}")
        for name, factor in _near(value, inverse)
    ]


def sentence(causes: list[Cause]) -> str:
    """Return the causes as one sentence with their remedies."""
    if len(causes) == 1:
        return f"{causes[0].fault}: {causes[0].remedy}"
    return ", or ".join(f"{cause.fault} ({cause.remedy})" for cause in causes)


def _near(value: float, known: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return the units whose factor is nearest to the ratio, if the rest may be that of sound labels."""
    low, high = _SOUND_IN_RANGE if RANGE[0] < value < RANGE[1] else SOUND
    fitting = {name: factor for name, factor in known.items() if low < value / factor < high}
    distance = {name: abs(float(np.log(value / factor))) for name, factor in fitting.items()}
    nearest = min(distance.values(), default=0.0)
    return [(name, known[name]) for name, d in distance.items() if d < nearest + _AS_NEAR]
