"""The second line of an extended XYZ frame: keys in any case, and nothing that ASE's reader would drop silently.

ASE knows `Lattice`, `Properties` and `pbc` in exactly this spelling. Under any other one a crystal would be read as a
cluster, and columns would vanish. So spellings are made ASE's, and what cannot be read without loss is refused.
"""

import re
from typing import Any

import numpy as np
from ase.io.extxyz import key_val_str_to_dict

from equipot.errors import DataError

# Quoted and bracketed values, which may hold anything, or a key with its equals sign.
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\{[^}]*\}|\[[^\]]*\]|([^\s="{}\[\],]+)(\s*=)')
_STRUCTURAL = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
_COLUMNS = {"species": "species", "symbols": "species", "pos": "pos", "positions": "pos", "z": "Z"}
# A value that is missing or an empty string: ASE's parser would take the next key for it.
_NO_VALUE = re.compile(r"""\s*(?:""|''|$|(?=\s[^\s="{}\[\]]+\s*=))""")
_SIX = re.compile(r'\s*(["{\[]?)\s*(?:[^\s"\]},]+[\s,]+){5}[^\s"\]},]+\s*(?:["}\]]|$)')
_VOIGT = "_stress_of_six_components"


def read_header(line: str, n_atoms: int, where: str) -> dict[str, Any]:
    """Keys and values of a frame's comment line, in the form that ASE's reader takes.

    Raises DataError for a structural key that comes twice, for `key=value` pairs without `Properties`, and for
    `Properties` without element or position.
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
    """The line with structural keys as ASE spells them and without keys that have no value; and its keys."""
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
        rest = line[match.end() :]
        shown = _VOIGT if key == "stress" and _SIX.match(_first_value(rest)) else key
        parts.append(line[end : match.start(1)])
        end = match.end()
        nothing = _NO_VALUE.match(rest)
        if nothing:
            end += nothing.end()
        else:
            parts += [shown, match.group(2)]
    return "".join([*parts, line[end:]]), keys


def _first_value(rest: str) -> str:
    """The quoted or bracketed value that the text begins with."""
    match = re.match(r'\s*("[^"]*"|\{[^}]*\}|\[[^\]]*\])', rest)
    return match.group(1) if match else ""


def _expect_plain(line: str, keys: list[str], where: str) -> None:
    """A comment of plain XYZ may say anything, but not what only extended XYZ can mean."""
    meant = [key for key in keys if f"{key}=" in line or key in _STRUCTURAL.values()]
    if meant:
        raise DataError(
            f"{where}: the header gives {meant[0]}=… but no Properties, so the columns have no names and the frame "
            "would be read as plain XYZ; add Properties=species:S:1:pos:R:3 and the other columns"
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
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise DataError(f"{where}: Properties names the column {doubled} twice; expected each name once")
    return ":".join(":".join(column) for column in layout)
