"""A random split of frames into training, validation and test sets."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from equipot.structures.frame import Frame


class FrameKey(NamedTuple):
    """The data of a frame that a split needs."""

    config_type: str
    fingerprint: bytes
    isolated: bool


def frame_key(frame: Frame) -> FrameKey:
    """Return the key of a frame."""
    isolated = is_isolated_atom(frame)
    return FrameKey(frame.config_type, b"" if isolated else fingerprint(frame), isolated)


def split(frames: Sequence[Frame | FrameKey], fractions: Sequence[float], seed: int) -> list[list[int]]:
    """Split frames into a training set and one set for each fraction.

    Every config_type is split in the same proportions, as far as whole frames allow. Identical structures stay
    together, so that no validation frame is also a training frame. Isolated atoms stay in the training set, which takes
    its reference energies from them. A set with a fraction above zero gets at least one frame if there are enough
    frames. The training set is never empty.

    Args:
        frames: the frames, or their keys if the frames are not in memory.
        fractions: fractions of the sets that are set aside, e.g. (validation, test); each ≥ 0, their sum < 1.
        seed: random seed. Equal frames, fractions and seeds give equal splits.

    Returns:
        the frame numbers of the training set and of each further set.
    """
    if any(f < 0 for f in fractions) or sum(fractions) >= 1:
        raise ValueError(f"fractions are {list(fractions)}; expected values of 0 or more and a sum below 1")
    rng = np.random.default_rng(seed)
    isolated: list[int] = []
    strata: dict[str, dict[bytes, list[int]]] = {}
    stratum_of: dict[bytes, str] = {}
    for i, frame in enumerate(frames):
        key = frame if isinstance(frame, FrameKey) else frame_key(frame)
        if key.isolated:
            isolated.append(i)
            continue
        # Identical structures with two config_types also stay together, in the stratum of the first one.
        group = stratum_of.setdefault(key.fingerprint, key.config_type)
        strata.setdefault(group, {}).setdefault(key.fingerprint, []).append(i)

    # A unit is a structure with its duplicates. Each unit goes to the part that is furthest behind its share. The
    # deficits carry over from one stratum to the next, so the shares hold in every stratum and in total.
    shares = np.array([1 - sum(fractions), *fractions])
    parts: list[list[list[int]]] = [[] for _ in shares]
    behind = np.zeros(len(shares))
    for group in sorted(strata):
        units = list(strata[group].values())
        for k in rng.permutation(len(units)):
            behind += shares * len(units[k])
            part = int(np.argmax(behind))
            parts[part].append(units[k])
            behind[part] -= len(units[k])
    _fill_empty(parts, shares)
    flat = [[i for unit in part for i in unit] for part in parts]
    return [sorted(isolated + flat[0]), *map(sorted, flat[1:])]


def _fill_empty(parts: list[list[list[int]]], shares: np.ndarray) -> None:
    """Move a unit from the largest part, if it has several, to each empty part with a share above zero."""
    for part, share in zip(parts, shares):
        largest = max(parts, key=len)
        if share > 0 and not part and len(largest) > 1:
            part.append(largest.pop())


def fingerprint(frame: Frame) -> bytes:
    """Return a hash of elements, periodicity, cell and positions, rounded to 10⁻⁵ Å. Equal frames have equal hashes."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(np.asarray(frame.numbers, dtype=np.int64).tobytes())
    digest.update(np.asarray(frame.pbc, dtype=bool).tobytes())
    for array in (frame.cell[frame.pbc], frame.positions):
        # The addition of 0 turns -0 into 0.
        digest.update((np.round(np.asarray(array, dtype=np.float64), 5) + 0.0).tobytes())
    return digest.digest()


def is_isolated_atom(frame: Frame) -> bool:
    """Return whether a frame is one atom without periodic images closer than 6 Å."""
    if len(frame) != 1:
        return False
    lengths = np.linalg.norm(frame.cell[frame.pbc], axis=1)
    return bool((lengths > 6.0).all())
