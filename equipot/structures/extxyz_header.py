"""The header of an extended XYZ frame, its second line. Keys may be in capital letters or not.

ASE knows `Lattice`, `Properties` and `pbc` only in this spelling. In another spelling, it would read a crystal as a
cluster and ignore columns. So this module changes the spelling to ASE's, and refuses a header that ASE cannot read
without loss.
"""

import re
from typing import Any

import numpy as np
from ase.io.extxyz import key_val_str_to_dict

from equipot.errors import DataError

# A quoted or bracketed value with any contents, or a key with its equals sign.
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\{[^}]*\}|\[[^\]]*\]|([^\s="{}\[\],]+)(\s*=)')
_STRUCTURAL = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
_COLUMNS = {"species": "species", "symbols": "species", "pos": "pos", "positions": "pos", "z": "Z"}
# A missing or empty value. ASE's parser would take the next key as the value.
_NO_VALUE = re.compile(r"""\s*(?:""|''|$|(?=\s[^\s="{}\[\]]+\s*=))""")
_SIX = re.compile(r'\s*(["{\[]?)\s*(?:[^\s"\]},]+[\s,]+){5}[^\s"\]},]+\s*(?:["}\]]|$)')
_VOIGT = "_stress_of_six_components"


def read_header(line: str, n_atoms: int, where: str) -> dict[str, Any]:
    """Return the keys and values of a header in the form that ASE's reader expects.

    Args:
        line: the header.
        n_atoms: number of atoms in the frame.
        where: file and frame, for error messages.

    Raises:
        DataError: a structural key occurs twice, there are `key=value` pairs but no `Properties`, or `Properties` lacks
            the element or the position.
    """
    text, keys = _in_ase_spelling(line, where)
    if "Properties" not in keys:
        if n_atoms:
            _expect_plain(line, keys, where)
        return key_val_str_to_dict(text) if not n_atoms else {}
    info = key_val_str_to_dict(text)
    if _VOIGT in info:
        info["stress"] = np.asarray(info.pop(_VOIGT))
    info["Properties"] = _layout(str(info.get("Properties", "")), where)
    return info


def _in_ase_spelling(line: str, where: str) -> tuple[str, list[str]]:
    """Return the line and its keys, with structural keys in ASE's spelling and without keys that have no value."""
    parts: list[str] = []
    keys: list[str] = []
    end = 0
    for match in _TOKEN.finditer(line):
        if match.group(1) is None:
            continue
        key = _STRUCTURAL.get(match.group(1).lower(), match.group(1))
        if key in _STRUCTURAL.values() and key in keys:
            raise DataError(f"{where}: the header gives {key} twice; expected it once")
        keys.append(key)
        remainder = line[match.end() :]
        ase_key = _VOIGT if key == "stress" and _SIX.match(_first_value(remainder)) else key
        parts.append(line[end : match.start(1)])
        end = match.end()
        no_value = _NO_VALUE.match(remainder)
        if no_value:
            end += no_value.end()
        else:
            parts += [ase_key, match.group(2)]
    return "".join([*parts, line[end:]]), keys


def _first_value(text: str) -> str:
    """Return the quoted or bracketed value at the start of the text, or an empty string."""
    match = re.match(r'\s*("[^"]*"|\{[^}]*\}|\[[^\]]*\])', text)
    return match.group(1) if match else ""


def _expect_plain(line: str, keys: list[str], where: str) -> None:
    """Raise DataError if the comment of a plain XYZ frame holds keys of extended XYZ."""
    extended_keys = [key for key in keys if f"{key}=" in line or key in _STRUCTURAL.values()]
    if extended_keys:
        raise DataError(
            f"{where}: the header gives {extended_keys[0]}=… but no Properties, so the columns have no names and the "
            "frame would be read as plain XYZ; add Properties=species:S:1:pos:R:3 and the other columns"
        )


def _layout(properties: str, where: str) -> str:
    fields = properties.split(":")
    names = [_COLUMNS.get(name.lower(), name) for name in fields[::3]]
    layout = list(zip(names, fields[1::3], fields[2::3]))
    if len(fields) % 3 or not all(count.isdigit() for _, _, count in layout):
        raise DataError(
            f"{where}: Properties={properties[:60]!r} is not a list of name:type:columns such as "
            "species:S:1:pos:R:3:forces:R:3"
        )
    if ("pos", "R", "3") not in layout or not {"species", "Z"} & set(names):
        raise DataError(
            f"{where}: Properties={properties[:60]!r} names no element or position; expected species:S:1 and pos:R:3"
        )
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise DataError(f"{where}: Properties names the column {duplicate} twice; expected each name once")
    return ":".join(":".join(column) for column in layout)
