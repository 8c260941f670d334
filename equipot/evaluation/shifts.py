"""Groups of frames whose energies are all too low or all too high, so that differences between groups are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from equipot.evaluation.errors import FramePrediction, differences
from equipot.quantities import ENERGY
from equipot.structures.frame import Frame

FEWEST = 3  # frames of a group
SCATTERS = 2.0  # of a typical group that a shift exceeds
PER_FRAME = 0.05  # eV, about 1 kcal/mol: smaller differences between structures are rarely wanted
LEVEL = 0.005  # probability of a shift by chance


@dataclass(frozen=True)
class Shift:
    """The systematic error of a group's energies beside those of all frames."""

    group: str
    per_atom: float  # eV, mean
    per_frame: float  # eV, mean

    def sentence(self) -> str:
        """Return what is shifted, by how much, and what to do."""
        side = "low" if self.per_atom < 0 else "high"
        return (
            f"Energies of the group {self.group} are {1000 * abs(self.per_atom):.1f} meV/atom too {side} beside those "
            f"of the other frames ({abs(self.per_frame):.2f} eV per frame): differences between groups, such as defect "
            "energies, are wrong by that much. Train longer or raise training.loss.energy, and check that all labels "
            "were computed with the same settings."
        )


def group_shifts(frames: Sequence[Frame], predictions: Sequence[FramePrediction]) -> list[Shift]:
    """Return the groups whose mean energy error is large beside the scatter of the errors within groups.

    Errors are per atom and relative to their median over all frames, since an error that all frames share cancels in
    differences. A group is shifted if its mean is significant by Student's t test, exceeds twice the median scatter of
    the groups, and amounts to 0.05 eV per frame.
    """
    errors: dict[str, list[float]] = {}
    sizes: dict[str, list[int]] = {}
    for frame, prediction in zip(frames, predictions, strict=True):
        for value in differences(ENERGY, frame, prediction):
            errors.setdefault(frame.config_type, []).append(float(value))
            sizes.setdefault(frame.config_type, []).append(len(frame))
    large = {group: np.array(values) for group, values in errors.items() if len(values) >= FEWEST}
    if len(errors) < 2 or not large:
        return []
    middle = np.median(np.concatenate([np.array(values) for values in errors.values()]))
    typical = np.median([values.std(ddof=1) for values in large.values()])
    result = []
    for group, values in large.items():
        shifts = values - middle
        shift = Shift(group, float(shifts.mean()), float(np.mean(shifts * sizes[group])))
        far = abs(shift.per_atom) > SCATTERS * typical and abs(shift.per_frame) > PER_FRAME
        if far and _by_chance(shifts) < LEVEL:
            result.append(shift)
    return result


def _by_chance(values: np.ndarray) -> float:
    """Return the probability of such a mean if the true one is zero (Student's t test)."""
    if np.ptp(values) == 0:
        return 0.0
    from scipy.stats import ttest_1samp  # slow to import

    return float(ttest_1samp(values, 0.0).pvalue)
