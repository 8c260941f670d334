"""Conversion of ASE Atoms to frames: it finds the keys of the labels and reads energy, forces and stress."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from equipot.errors import DataError
from equipot.neighbours.cell import NO_VOLUME, independent, volume_of
from equipot.quantities import LABELS, STRESS, Quantity, by_name
from equipot.structures.frame import Frame
from equipot.structures.units import expect_equipot_units

if TYPE_CHECKING:
    from equipot.config import DataConfig

# Patterns of keys that look like labels, in the order of the search.
_LOOKS_LIKE = {
    "virial": re.compile(r"virial", re.IGNORECASE),
    **{q.name: q.looks_like for q in reversed(LABELS)},
}
# Per-atom results of calculators that look like labels but are not, with their number of axes.
_PER_ATOM_SHARES = {"energies": 1, "stresses": 2, "magmoms": 1, "charges": 1}
_SYMMETRY_TOLERANCE = 1e-3
# `converged` is not one of these keys: relaxations, also those of `equipot relax`, use it for the atoms.
_CONVERGED = ("scf_converged", "electronic_converged")
_CHARGE_SPIN = ("charge", "total_charge", "spin", "total_spin", "multiplicity", "spin_multiplicity")


@dataclass(frozen=True)
class LabelKeys:
    """The keys of the labels in a file.

    A label without a key is read from the result of ASE's calculator with its name, in capital letters or not. For the
    energy, `free_energy` is read if a frame has it, else `energy`. In ASE, the forces are the derivatives of
    `free_energy`; with smeared occupations, `energy` may be an extrapolation to zero temperature. A key is looked up in
    atoms.info, then in atoms.arrays, then in the calculator's results.

    Attributes:
        labels: the key of each label by its name. The name "virial" is also allowed; a virial gives the stress of a
            frame without one.
        config_type: the key of the group.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    config_type: str = "config_type"

    @classmethod
    def from_config(cls, config: "DataConfig") -> "LabelKeys":
        """Return the keys that the section `data` of a config names."""
        return cls.from_values(config.model_dump())

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "LabelKeys":
        """Return the keys from a mapping with energy_key, forces_key, …, virial_key and config_type_key (or None)."""
        names = [*(q.name for q in LABELS), "virial"]
        keys = {name: values[f"{name}_key"] for name in names if values.get(f"{name}_key") is not None}
        return cls(keys, values["config_type_key"])


def available(atoms: Atoms) -> dict[str, Any]:
    """Return all values of a frame by key: calculator results, arrays and info."""
    results = getattr(atoms.calc, "results", None) or {}
    arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    return {**results, **arrays, **atoms.info}


def frame_from_atoms(atoms: Atoms, keys: LabelKeys | None = None, source: str = "") -> Frame:
    """Return a Frame from ASE Atoms.

    The labels are the stored values: ASE's constraints do not set any force to zero.

    Args:
        atoms: structure with calculator results, arrays and info.
        keys: the keys of the labels; by default, ASE's standard results are read.
        source: name of the structure, for error messages.

    Raises:
        DataError: a label has the wrong shape or type, a stress is not symmetric, a frame with a virial has no volume,
            the periodic cell vectors span no volume, an atom is not an element, or the frame declares units other than
            eV and Å.
    """
    keys = keys or LabelKeys()
    where = source or "structure"
    values = available(atoms)
    expect_equipot_units(values, where)
    _expect_elements(atoms.numbers, where)
    pbc = np.array(atoms.pbc, dtype=bool)
    cell = np.array(atoms.cell.array, dtype=np.float64)
    if np.isfinite(cell).all() and not independent(cell[pbc]):
        raise DataError(
            f"{where}: periodic along {' and '.join(np.array(['a', 'b', 'c'])[pbc])}, but these cell vectors "
            "are zero or linearly dependent; give a cell (Lattice) or set pbc to F along them"
        )
    n = len(atoms)
    spelling = _spellings(values, where)
    has_free_energy = values.get("free_energy") is not None
    standard = {"energy": "free_energy"} if has_free_energy else {}
    key_of = {q.name: keys.labels.get(q.name) or spelling(standard.get(q.name, q.name)) for q in LABELS}
    labels = {q.name: _label(q, values.get(key_of[q.name]), n, f"{where}: {key_of[q.name]}") for q in LABELS}
    read = {*key_of.values(), keys.config_type, "energy" if key_of["energy"] == "free_energy" else ""}
    if "virial" in keys.labels:
        key = keys.labels["virial"]
        read.add(key)
        virial = _label(STRESS, values.get(key), n, f"{where}: {key}")
        if labels["stress"] is None and virial is not None:
            volume = volume_of(cell, pbc)
            if np.isnan(volume):
                raise DataError(
                    f"{where}: {key} cannot become a stress, because the frame has no volume; {NO_VOLUME}"
                )
            labels["stress"] = -virial / volume
    unread = {k: _label_like(k, v, n) for k, v in values.items() if k not in read}
    group = values.get(keys.config_type)
    return Frame(
        numbers=np.array(atoms.numbers, dtype=np.int64),
        positions=np.array(atoms.positions, dtype=np.float64),
        cell=cell,
        pbc=pbc,
        labels={name: value for name, value in labels.items() if value is not None},
        config_type=str(group).strip() if group is not None and str(group).strip() else "default",
        source=source,
        unread=tuple(sorted((k, label) for k, label in unread.items() if label is not None)),
        energy_key=key_of["energy"] if labels["energy"] is not None else "",
        scf_converged=not any(values.get(k) is False for k in _CONVERGED),
        charge_spin=tuple((k, float(values[k])) for k in _CHARGE_SPIN if _is_number(values.get(k))),
    )


def _expect_elements(numbers: np.ndarray, where: str) -> None:
    """Raise DataError for atoms that are not elements, such as ghost or dummy atoms."""
    invalid = np.flatnonzero((numbers < 1) | (numbers >= len(chemical_symbols)))
    if len(invalid):
        raise DataError(
            f"{where}: atom {invalid[0]} has the atomic number {numbers[invalid[0]]}, which is not an element; "
            "remove ghost and dummy atoms"
        )


def _spellings(values: dict[str, Any], where: str) -> Callable[[str], str]:
    """Return a function from a standard name to the frame's key in any case. It raises DataError if two keys match."""

    def spelling(name: str) -> str:
        if values.get(name) is not None:
            return name
        others = [key for key in values if key.lower() == name]
        if len(others) > 1:
            raise DataError(
                f"{where}: {' and '.join(others)} both look like the {name}; name one of them as {name}_key"
            )
        return others[0] if others else name

    return spelling


def _label_like(key: str, value: Any, n_atoms: int) -> str | None:
    """Return the label that a key could hold by name and shape, "" if only the name looks like one, else None."""
    label = next((label for label, words in _LOOKS_LIKE.items() if words.search(key)), None)
    if label is None or value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "if":
        return None  # text, such as the name of a unit
    if key in _PER_ATOM_SHARES and array.ndim == _PER_ATOM_SHARES[key] and len(array) == n_atoms:
        return None
    fits = array.shape in _shapes(STRESS if label == "virial" else by_name(label), n_atoms)
    return label if fits else "" if len(key) > 1 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def check_mapped_keys(keys: LabelKeys, file_keys: Iterable[str], where: str) -> None:
    """Raise DataError if a key of a label occurs in no frame. The message offers similar keys of the file."""
    known = sorted(set(file_keys))
    for label, key in keys.labels.items():
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
        near += [k for k in known if label[:5] in k.lower() and k not in near]
        hint = (
            f"did you mean {' or '.join(near[:3])}?"
            if near
            else f"keys in the file: {', '.join(known) or 'none'}"
        )
        raise DataError(f"{where}: {label}_key is '{key}', which no frame has; {hint}")


def _shapes(quantity: Quantity, n_atoms: int) -> tuple[tuple[int, ...], ...]:
    """Return the shapes in which files hold a label: three for a symmetric tensor, two for a number, else one."""
    shape = quantity.shape_of(n_atoms)
    if quantity.per == "structure" and quantity.shape == (3, 3):
        return (6,), (9,), (3, 3)
    return ((), (1,)) if shape == () else (shape,)


def _label(quantity: Quantity, value: Any, n_atoms: int, where: str) -> np.ndarray | None:
    """Return a label in the shape of its quantity. Six numbers of a tensor are in ASE's order xx yy zz yz xz xy."""
    if value is None:
        return None
    shapes = _shapes(quantity, n_atoms)
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        if () in shapes:
            raise DataError(f"{where} is {value!r}; expected one number ({quantity.unit})") from None
        raise DataError(f"{where} is not an array of numbers") from None
    if () in shapes:
        if array.size != 1 or isinstance(value, bool | np.bool_):
            raise DataError(f"{where} holds {array.size} values; expected one number ({quantity.unit})")
        return array.reshape(())
    if array.shape not in shapes:
        raise DataError(f"{where} has the shape {array.shape}; expected {_expected(quantity, shapes)}")
    if array.shape == (6,) and len(shapes) > 1:
        xx, yy, zz, yz, xz, xy = array
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return symmetric(array.reshape(3, 3), where) if len(shapes) > 1 else array


def _expected(quantity: Quantity, shapes: tuple[tuple[int, ...], ...]) -> str:
    if len(shapes) > 1:
        return "6 (xx yy zz yz xz xy), 9 or 3×3 numbers"
    if quantity.per == "atom" and quantity.shape == (3,):
        return f"{shapes[0]}, three components for each atom"
    return str(shapes[0])


def symmetric(tensor: np.ndarray, where: str) -> np.ndarray:
    """Return the symmetric part of a tensor. Raise DataError if the tensor is not symmetric except for rounding."""
    finite = np.isfinite(tensor).all()
    if finite and np.abs(tensor - tensor.T).max() > _SYMMETRY_TOLERANCE * max(np.abs(tensor).max(), 1e-2):
        raise DataError(
            f"{where} is not symmetric (e.g. xy {tensor[0, 1]:g}, yx {tensor[1, 0]:g}); "
            "check the order of its components"
        )
    return 0.5 * (tensor + tensor.T)
