"""A check of the units that a frame declares in its header. Only eV, Å and their combinations are allowed."""

import re
from collections.abc import Mapping
from typing import Any

from equipot.errors import DataError

# Matches energy-unit, force_units, unitsOfEnergy, units:length and Units, but not unit_cell.
_KEY = re.compile(r"units?$|^units?[-_:. ]?(of|energ|forc|stress|virial|length|pos|dist)", re.IGNORECASE)
_ANGSTROM = r"(å|Å|a|ang|angs|angst|angstrom|ångström|ångstrom|angstroem|angstroms)"
_ALLOWED = re.compile(
    rf"metal|ase|si_ev_ang|ev|electron_?volts?|{_ANGSTROM}"
    rf"|ev(/|\*|\s*per\s*)?\s*{_ANGSTROM}((\^|\*\*)?-?[13])?(\^3)?",
    re.IGNORECASE,
)


def expect_equipot_units(values: Mapping[str, Any], where: str) -> None:
    """Raise DataError if a key declares a unit other than eV, Å, eV/Å or eV/Å³."""
    for key, value in values.items():
        if not (isinstance(value, str) and _KEY.search(key)):
            continue
        for unit in re.split(r"[,;\s]+(?=\S)", value.strip()) if "per" not in value else [value.strip()]:
            if unit and not _ALLOWED.fullmatch(unit.replace("³", "^3").replace(" ", "")):
                raise DataError(
                    f"{where}: {key} is {value!r}; expected eV, Å, eV/Å and eV/Å³: convert the labels and "
                    "remove or correct this key"
                )
