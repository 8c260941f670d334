"""A seeded split of frames into training, validation and test."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from equipot.structures.frame import Frame


class FrameKey(NamedTuple):
    """What a split needs to know of a frame."""

    config_type: str
    fingerprint: bytes
    isolated: bool


def frame_key(frame: Frame) -> FrameKey:
    """The key of a frame."""
    isolated = is_isolated_atom(frame)
    return FrameKey(frame.config_type, b"" if isolated else fingerprint(frame), isolated)


def split(frames: Sequence[Frame | FrameKey], fractions: Sequence[float], seed: int) -> list[list[int]]:
    """Indices of the training frames, then of one part for each fraction.

    Args:
        frames: the frames, or their keys where the frames themselves are not in memory
        fractions: shares of the parts that are set aside, e.g. (validation, test); each ≥ 0, sum < 1
        seed: the same frames, fractions and seed give the same split

    Every config_type is shared out in the same proportions, as far as whole frames allow. Identical
    structures stay together, so that no validation frame was trained on. Isolated atoms stay in the training
    part, which takes its reference energies from them. A fraction above zero gets at least one frame where
    there are enough, and the training part is never empty.
    """
    if any(f < 0 for f in fractions) or sum(fractions) >= 1:
        raise ValueError(f"fractions are {list(fractions)}; expected none negative and a sum below 1")
    rng = np.random.default_rng(seed)
    isolated: list[int] = []
    strata: dict[str, dict[bytes, list[int]]] = {}
    home: dict[bytes, str] = {}
    for i, frame in enumerate(frames):
        known = frame if isinstance(frame, FrameKey) else frame_key(frame)
        if known.isolated:
            isolated.append(i)
            continue
        key = known.fingerprint
        # Identical structures under two config_types stay together as well, in the first one's stratum.
        group = home.setdefault(key, known.config_type)
        strata.setdefault(group, {}).setdefault(key, []).append(i)

    # Units (structures with their duplicates) go one by one to the part that lags furthest behind its share.
    # Shares run on from stratum to stratum, so every stratum has its proportion and the whole its total.
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
    """Give every part with a share a unit from the largest part, which keeps at least one."""
    for part, share in zip(parts, shares):
        largest = max(parts, key=len)
        if share > 0 and not part and len(largest) > 1:
            part.append(largest.pop())


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
