"""E0: the energy of one isolated atom of each element, which the network's energies are added to."""

from collections.abc import Mapping

import numpy as np

from equipot.errors import ConfigError, DataError
from equipot.structures.species import SpeciesMap

# Singular values below this, relative to the largest, carry no information about single elements.
_RANK_TOLERANCE = 1e-5


def reference_energies(
    composition: np.ndarray,
    energy: np.ndarray,
    isolated: np.ndarray,
    species: SpeciesMap,
    option: str | Mapping[str, float] = "auto",
) -> tuple[np.ndarray, list[str]]:
    """E0 of every type and how it was obtained.

    Args:
        composition: (n_frames, n_types), atoms of each type
        energy: (n_frames,) eV, of whole structures
        isolated: (n_frames,) bool, frames of one atom without neighbours
        option: "auto" takes isolated-atom frames where there are any and fits the rest; "fit" fits all by least
            squares of the energies per atom; "isolated" insists on isolated-atom frames; a mapping gives eV by
            element. Isolated atoms of which several are there count with the lowest energy (the ground state).

    Returns:
        (n_types,) float64 eV, and n_types phrases.

    Where compositions do not determine the elements (all frames of one composition, say), the solution
    nearest to the mean energy per atom is taken, and the phrase says so.
    Raises ConfigError (mapping incomplete), DataError (isolated atoms missing, energies not finite).
    """
    if isinstance(option, Mapping):
        return _given(option, species)
    if option not in ("auto", "fit", "isolated"):
        raise ConfigError(f"e0 is {option!r}; expected auto, fit, isolated or a mapping from element to eV")
    if not np.isfinite(energy).all():
        raise DataError("an energy of the set is not finite; run `equipot check` on it")
    values = np.zeros(len(species))
    source = ["" for _ in species.names]
    if option != "fit":
        for k in range(len(species)):
            own = energy[isolated & (composition[:, k] == 1)]
            if len(own):
                values[k] = own.min()
                source[k] = "isolated atom" if len(own) == 1 else f"isolated atom, lowest of {len(own)}"
    missing = [k for k in range(len(species)) if not source[k]]
    if option == "isolated" and missing:
        names = ", ".join(species.names[k] for k in missing)
        raise DataError(
            f"e0 is 'isolated', but the set has no isolated-atom frame with an energy of {names}; "
            "add one, give a mapping, or set e0 to auto"
        )
    if missing:
        sizes = composition.sum(axis=1)
        usable = sizes > 0
        fractions = composition[usable] / sizes[usable, None]
        target = energy[usable] / sizes[usable] - fractions @ values
        fitted, phrases = _fit(fractions[:, missing], target)
        for k, value, phrase in zip(missing, fitted, phrases):
            values[k], source[k] = value, phrase
    return values, source


def _given(option: Mapping[str, float], species: SpeciesMap) -> tuple[np.ndarray, list[str]]:
    missing = [name for name in species.names if name not in option]
    if missing:
        raise ConfigError(
            f"e0 gives no energy for {', '.join(missing)}; expected one for every element of the set"
        )
    values = np.array([float(option[name]) for name in species.names])
    if not np.isfinite(values).all():
        raise ConfigError("e0 holds a value that is not finite; expected eV by element")
    return values, ["given"] * len(species)


def _fit(fractions: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Least squares target = fractions·e0, (n_frames, k) and (n_frames,) eV/atom, nearest to their mean."""
    k = fractions.shape[1]
    share = fractions.sum(axis=1)
    # Frames made of known elements only have nothing to say here.
    fractions, target, share = fractions[share > 0], target[share > 0], share[share > 0]
    if len(target) == 0:
        return np.zeros(k), ["0: no energies to fit"] * k
    mean = float(share @ target / (share @ share))
    _, singular, right = np.linalg.svd(fractions, full_matrices=False)
    rank = int((singular > _RANK_TOLERANCE * singular[0]).sum())
    change, *_ = np.linalg.lstsq(fractions, target - share * mean, rcond=_RANK_TOLERANCE)
    determined = np.square(right[:rank]).sum(axis=0) > 1 - 1e-6
    if rank == 1:
        reason = "one composition"
    elif len(np.unique(fractions.round(12), axis=0)) < k:
        reason = "fewer compositions than elements"
    else:
        reason = "compositions are collinear"
    present = fractions.max(axis=0) > 0
    phrases = []
    for e in range(k):
        if not present[e]:
            phrases.append("mean energy per atom: element not in the set")
        elif determined[e]:
            phrases.append("least squares")
        else:
            phrases.append(f"least squares, minimum norm: {reason}")
    return mean + change, phrases
