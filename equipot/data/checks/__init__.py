"""Checks of labelled structures before a training. A finding names the fault and the frames that have it."""

from collections.abc import Mapping, Sequence

from equipot.data.checks.consistency import check_work
from equipot.data.checks.labels import check_energy_kind, check_finite, check_labels
from equipot.data.checks.neighbours import check_neighbours
from equipot.data.checks.outliers import check_energy_outliers, check_forces
from equipot.data.checks.report import NAMES, Finding, Report, check_names
from equipot.data.checks.sizes import check_sizes
from equipot.data.checks.structures import check_duplicates, check_periodicity
from equipot.structures.frame import Frame

__all__ = ["NAMES", "Finding", "Report", "check_frames", "check_names"]


def check_frames(
    frames: Sequence[Frame], cutoff: float = 5.0, e0: Mapping[str, float] | str | None = None
) -> Report:
    """Check labelled frames. The frames are not changed, and faults do not raise errors.

    `Report.raise_on_errors` raises a DataError if there are errors. `NAMES` lists the checks.

    Args:
        frames: the labelled frames.
        cutoff: Å, for the count of neighbours.
        e0: the reference energies of the training (eV by element), or its option `e0`.

    Returns:
        the findings of all checks.
    """
    if not frames:
        return Report([Finding("energies", "error", "the set holds no frames")], 0)
    findings = [*check_labels(frames), *check_finite(frames)]
    periodicity, usable = check_periodicity(frames)
    findings += periodicity
    findings += check_neighbours(frames, usable, cutoff)
    findings += check_duplicates(frames)
    kind, per_atom = check_energy_kind(frames, e0)
    findings += kind
    findings += check_energy_outliers(frames, per_atom)
    findings += check_forces(frames)
    work = check_work([frames[i] for i in usable])
    findings += work
    if not any(f.level == "error" for f in work):  # one fault should not give two errors
        findings += check_sizes(frames, usable)
    return Report(findings, len(frames))
