"""Everything that says how far a potential can be trusted, fitted at the end of a training."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from equipot.data.graph import Graph
from equipot.errors import ConfigError, DataError
from equipot.network.potential import Potential
from equipot.uncertainty.curvature import LastLayer, curvature
from equipot.uncertainty.grade import fit_grade, shuffled
from equipot.uncertainty.members import calibration_of, with_committee

# Of the time of a training: for grades and for members; but at least so many seconds.
SHARES, LEAST_SECONDS = (0.02, 0.03), (1.0, 1.0)


@dataclass(frozen=True)
class TrainingSets:
    """The sets of a training.

    Attributes:
        train: graphs that the potential was fitted to.
        held_out: graphs that it has not seen.
        weights: of the loss, see `curvature`.
        fitted_to_train: another potential of the same settings that has not seen `held_out`, if this one has.
    """

    train: Sequence[Graph]
    held_out: Sequence[Graph]
    weights: tuple[float, float]
    fitted_to_train: Potential | None = None


def fit_uncertainty(
    potential: Potential, sets: TrainingSets, elapsed: float
) -> tuple[Potential, dict[str, Any], list[str]]:
    """Return a potential with grades and members, what they were fitted to, and sentences on what it lacks.

    Args:
        potential: on the CPU.
        sets: of its training.
        elapsed: seconds of the training; the fit takes a part of it.
    """
    for_grades, for_members = (
        max(least, share * elapsed) for share, least in zip(SHARES, LEAST_SECONDS, strict=True)
    )
    begin = time.perf_counter()
    summary: dict[str, Any] = {}
    lacks = []
    try:
        grade = fit_grade(potential, shuffled(sets.train), for_grades)
        potential, summary["extrapolation_grade"] = grade.potential, grade.summary()
    except DataError as error:
        lacks.append(f"The model gives no extrapolation grades: {error}")
    try:
        if not len(sets.held_out):
            raise DataError("there are no validation frames to measure their size")
        judged = sets.fitted_to_train or potential
        part = for_members / (2 if judged is potential else 3)
        known, calibration = calibration_of(judged, sets.train, sets.held_out, sets.weights, 2 * part)
        if judged is not potential:
            everything = [*sets.train, *sets.held_out]
            known = curvature(LastLayer(potential, "float64"), everything, sets.weights, seconds=part)
        members = with_committee(potential, known, calibration)
        potential, summary["predicted_errors"] = members.potential, members.summary()
    except (ConfigError, DataError) as error:
        lacks.append(f"The model predicts no errors: {error}")
    summary["uncertainty_seconds"] = round(time.perf_counter() - begin, 1)
    return potential, summary, lacks
