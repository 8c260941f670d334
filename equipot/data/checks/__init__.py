"""Is a set of labelled structures fit to train on? What is wrong is named, with the frames it is wrong in."""

from collections.abc import Mapping, Sequence

from equipot.data.checks.consistency import check_work
from equipot.data.checks.labels import check_energy_kind, check_finite, check_labels
from equipot.data.checks.outliers import check_energy_outliers, check_forces
from equipot.data.checks.report import NAMES, Finding, Report, check_names
from equipot.data.checks.sizes import check_sizes
from equipot.data.checks.structures import check_duplicates, check_neighbours, check_periodicity
from equipot.structures.frame import Frame

__all__ = ["NAMES", "Finding", "Report", "check_frames", "check_names"]


def check_frames(
    frames: Sequence[Frame], cutoff: float = 5.0, e0: Mapping[str, float] | str | None = None
) -> Report:
    """Check labelled frames; nothing is changed, and nothing is raised for what is found.

    Args:
        cutoff: Å, for counting neighbours
        e0: reference energies (eV by element) the training will use, or its e0 option

    `Report.raise_on_errors` turns errors into a DataError; the names of the checks are in `NAMES`.
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
    if not any(f.level == "error" for f in work):  # one cause is named once
        findings += check_sizes(frames, usable)
    return Report(findings, len(frames))
