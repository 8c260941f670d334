"""What a calculation says when its atoms are unlike those of the training set."""

from dataclasses import dataclass

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


class ExtrapolationWarning(UserWarning):
    """Atoms are unlike those that the model was trained on."""
