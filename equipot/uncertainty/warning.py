"""What a calculation says when its atoms are unlike those of the training set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# The farthest training atom has a grade of 1. New frames of the same kind reach 1.3.
WARN_ABOVE = 1.5


@dataclass(frozen=True)
class Extrapolation:
    """The atom with the highest grade of a calculation."""

    grade: float
    atom: int
    element: str

    @classmethod
    def of(cls, grades: np.ndarray, symbols: list[str]) -> "Extrapolation | None":
        """Return the atom with the highest grade; None without atoms."""
        if len(grades) == 0:
            return None
        atom = int(np.argmax(grades))
        return cls(float(grades[atom]), atom, symbols[atom])

    def sentence(self) -> str:
        """Return a sentence that says what this means."""
        who = f"atom {self.atom} ({self.element}) had an extrapolation grade of {self.grade:.3g}"
        if not np.isfinite(self.grade):
            return f"{who}: no atom of this element was in the training set, so its energy and forces mean nothing"
        return (
            f"{who}, that is {self.grade:.3g} times as far from the training atoms of its element as the farthest of "
            "them; check its energy and forces by DFT (docs/uncertainty.md)"
        )


# Of a volume: thermal expansion and small strains change it by so much.
NARROW = 0.01


def volume_sentence(statistics: Mapping[str, Any] | None, volume: float | None) -> str | None:
    """Return a sentence on a relaxed cell that the training set says nothing about; None if it does.

    Args:
        statistics: of the training set, from the metadata of a model file (`data.statistics.Statistics`).
        volume: Å³ per atom, of the relaxed cell; None for a layer, whose volume depends on its vacuum.
    """
    known = (statistics or {}).get("volumes")
    if not known:
        return None
    smallest, largest = known
    stresses = (statistics or {}).get("n_stresses", 0)
    if largest < smallest * (1 + NARROW) and not stresses:
        return (
            f"the training frames had one volume ({smallest:.4g} Å³ per atom) and no stresses, so the model does not "
            "know the size of the cell; keep the cell, or train on frames of other volumes or with stresses"
        )
    if volume is not None and not smallest * (1 - NARROW) <= volume <= largest * (1 + NARROW):
        return (
            f"the cell was relaxed to {volume:.4g} Å³ per atom, but the volumes of the training frames are "
            f"{smallest:.4g} to {largest:.4g} Å³ per atom"
        )
    return None


class ExtrapolationWarning(UserWarning):
    """Atoms are unlike those that the model was trained on."""
