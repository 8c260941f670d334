"""A seeded split of frames into training, validation and test."""

import hashlib
from collections.abc import Sequence

import numpy as np

from equipot.data.frame import Frame


def split(frames: Sequence[Frame], fractions: Sequence[float], seed: int) -> list[list[int]]:
    """Indices of the training frames, then of one part for each fraction.

    Parameters
    ----------
    fractions : shares of the parts that are set aside, e.g. (validation, test); each ≥ 0, sum < 1
    seed : the same frames, fractions and seed give the same split

    Every config_type is shared out in the same proportions, as far as whole frames allow. Identical
    structures stay together, so that no validation frame was trained on. Isolated atoms stay in the training
    part, which takes its reference energies from them. A fraction above zero gets at least one frame where
    there are enough, and the training part is never empty.
    """
    if any(f < 0 for f in fractions) or sum(fractions) >= 1:
        raise ValueError(f"fractions are {list(fractions)}; expected none negative and a sum below 1")
    rng = np.random.default_rng(seed)
    n_parts = len(fractions) + 1
    parts: list[list[int]] = [[] for _ in range(n_parts)]
    strata: dict[str, dict[bytes, list[int]]] = {}
    home: dict[bytes, str] = {}
    for i, frame in enumerate(frames):
        if is_isolated_atom(frame):
            parts[0].append(i)
            continue
        key = fingerprint(frame)
        # Identical structures under two config_types stay together as well, in the first one's stratum.
        group = home.setdefault(key, frame.config_type)
        strata.setdefault(group, {}).setdefault(key, []).append(i)

    # Units (structures with their duplicates) of all strata, each stratum shuffled, are laid one after the
    # other on a line; cutting the line by running shares gives every stratum its proportion and the whole
    # exactly its total, with rounding carried from stratum to stratum.
    units: list[list[int]] = []
    for group in sorted(strata):
        members = list(strata[group].values())
        units += [members[k] for k in rng.permutation(len(members))]
    shares = np.array([1 - sum(fractions), *fractions])
    given = np.zeros(n_parts)
    wanted = np.zeros(n_parts)
    for unit in units:
        wanted += shares * len(unit)
        part = int(np.argmax(wanted - given))
        parts[part] += unit
        given[part] += len(unit)
    _fill_empty(parts, fractions)
    return [sorted(part) for part in parts]


def _fill_empty(parts: list[list[int]], fractions: Sequence[float]) -> None:
    for p, fraction in enumerate([1.0, *fractions]):
        if fraction > 0 and not parts[p]:
            largest = max(range(len(parts)), key=lambda q: len(parts[q]))
            if len(parts[largest]) > 1:
                parts[p].append(parts[largest].pop())


def fingerprint(frame: Frame) -> bytes:
    """A hash that two frames share when elements, cell, periodicity and positions agree to 10⁻⁵ Å or so."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(np.asarray(frame.numbers, dtype=np.int64).tobytes())
    digest.update(np.asarray(frame.pbc, dtype=bool).tobytes())
    for array in (frame.cell[frame.pbc], frame.positions):
        # Adding 0 turns -0 into 0.
        digest.update((np.round(np.asarray(array, dtype=np.float64), 5) + 0.0).tobytes())
    return digest.digest()


def is_isolated_atom(frame: Frame) -> bool:
    """One atom whose periodic images, if any, are more than 6 Å away."""
    if len(frame) != 1:
        return False
    lengths = np.linalg.norm(frame.cell[frame.pbc], axis=1)
    return bool((lengths > 6.0).all())
