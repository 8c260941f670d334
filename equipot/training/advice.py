"""The sentence at the end of a training: would more time or more data help?"""

import math
from collections.abc import Mapping, Sequence

from equipot.quantities import ENERGY, FORCES

CLEAR = 0.05  # relative decrease of the error in the second half of the time that makes more time worth it
GAP = 1.25  # ratio of validation and training error from which more data help


def advice(rows: Sequence[Mapping[str, str]], schedule: str, fitted: Mapping[str, float]) -> str:
    """Return one or two sentences from the rows of metrics.csv; "" if they tell nothing.

    Args:
        rows: the result of `read_metrics`.
        schedule: `training.schedule`. With restarts, a cosine has ended after half of the time, so both halves can be
            compared.
        fitted: errors of the best model on frames that it was fitted to, by name (`forces_rmse`). Those in metrics.csv
            are means over an epoch, during which the weights change.
    """
    quantity = next((q for q in (FORCES, ENERGY) if _has(rows, f"validation_{q.error_name}_rmse")), None)
    if quantity is None:
        return ""
    key = f"{quantity.error_name}_rmse"
    label, unit = f"validation error of the {quantity.title}", f"m{quantity.error_unit}"
    end = _best(rows)
    now, here = float(end[f"validation_{key}"]), fitted.get(key, math.nan)
    sentences = []
    half = [row for row in rows if float(row["seconds"]) <= 0.55 * float(rows[-1]["seconds"])]
    if schedule == "restarts" and half:
        before = float(_best(half)[f"validation_{key}"])
        change = (
            f"the second half of the time took the {label} from {1e3 * before:.1f} to {1e3 * now:.1f} {unit}"
        )
        helps = now < (1 - CLEAR) * before
        sentences.append(f"More time would {'help' if helps else 'help little'}: {change}.")
    if math.isfinite(here):
        helps = now > GAP * here
        sentences.append(
            f"More data would {'help' if helps else 'help little'}: the {label} is {1e3 * now:.1f} {unit}, "
            f"and that of frames that the model was fitted to {1e3 * here:.1f} {unit}."
        )
    return " ".join(sentences)


def _has(rows: Sequence[Mapping[str, str]], name: str) -> bool:
    return bool(rows) and bool(rows[-1].get(name))


def _best(rows: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    return min(rows, key=lambda row: float(row["score"]))
