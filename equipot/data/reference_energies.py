"""Reference energies E0: the energy of an isolated atom of each element. The network's energies are added to them."""

from collections.abc import Mapping

import numpy as np

from equipot.errors import ConfigError, DataError
from equipot.species import SpeciesMap

# Singular values below this fraction of the largest one carry no information about single elements.
_RANK_TOLERANCE = 1e-5


def reference_energies(
    composition: np.ndarray,
    energy: np.ndarray,
    isolated: np.ndarray,
    species: SpeciesMap,
    option: str | Mapping[str, float] = "auto",
) -> tuple[np.ndarray, list[str]]:
    """Compute the reference energy of every species.

    If an element has several isolated-atom frames, the lowest energy is used (the ground state). If the compositions do
    not determine the fit, for example because all frames have one composition, the result is the solution closest to
    the mean energy per atom.

    Args:
        composition: (n_frames, n_types), number of atoms of each species.
        energy: (n_frames,) eV, energies of whole structures.
        isolated: (n_frames,) bool, whether the frame is an isolated atom.
        species: elements of the model.
        option: "isolated" takes the energies of isolated-atom frames; "fit" makes a least-squares fit to the energies
            per atom; "auto" takes isolated-atom frames if an element has any, and fits all other elements; a mapping
            gives eV by element.

    Returns:
        the energies, (n_types,) float64 eV, and a phrase for each species that states the source of its energy.

    Raises:
        ConfigError: the mapping lacks an element, has a value that is not finite, or the option is unknown.
        DataError: isolated atoms are missing, or energies are not finite.
    """
    if isinstance(option, Mapping):
        return _from_mapping(option, species)
    if option not in ("auto", "fit", "isolated"):
        raise ConfigError(f"e0 is {option!r}; expected auto, fit, isolated or a mapping from element to eV")
    if not np.isfinite(energy).all():
        raise DataError("an energy of the set is not finite; run `equipot check` on it")
    values = np.zeros(len(species))
    source = ["" for _ in species.names]
    if option != "fit":
        for k in range(len(species)):
            candidates = energy[isolated & (composition[:, k] == 1)]
            n = len(candidates)
            if n:
                values[k] = candidates.min()
                source[k] = "isolated atom" if n == 1 else f"isolated atom, lowest of {n}"
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


def _from_mapping(option: Mapping[str, float], species: SpeciesMap) -> tuple[np.ndarray, list[str]]:
    missing = [name for name in species.names if name not in option]
    if missing:
        raise ConfigError(
            f"e0 has no energy for {', '.join(missing)}; expected a value for every element of the set"
        )
    values = np.array([float(option[name]) for name in species.names])
    if not np.isfinite(values).all():
        raise ConfigError("e0 holds a value that is not finite; expected eV by element")
    return values, ["given"] * len(species)


def _fit(fractions: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Solve target = fractions·e0 by least squares; if it is underdetermined, take the solution closest to the mean.

    Args:
        fractions: (n_frames, k), fraction of the atoms of each element.
        target: (n_frames,) eV/atom.
    """
    k = fractions.shape[1]
    share = fractions.sum(axis=1)
    # Frames without an unknown element do not contribute.
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
