"""Timing several sides by turns, so that other load on the machine slows all of them alike."""

import statistics
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Times(NamedTuple):
    """Seconds per call of one side, over the rounds."""

    minimum: float
    median: float
    rounds: int

    @classmethod
    def of(cls, rounds: list[float]) -> "Times":
        return cls(min(rounds), statistics.median(rounds), len(rounds))


def interleave(
    sides: Mapping[str, Callable[[int], float]],
    rounds: int,
    round_seconds: float,
    most_seconds: float = float("inf"),
    failures: tuple[type[Exception], ...] = (),
) -> tuple[dict[str, Times], dict[str, Exception]]:
    """Time all sides by turns, in alternating order.

    Parameters
    ----------
    sides : by name, a function that makes n calls and returns the mean seconds of one
    rounds : turns of each side
    round_seconds : a turn has as many calls as fit into this time, and at least one
    most_seconds : limit of each side's total time; a slow side omits later rounds, but never the first
    failures : exceptions that remove a side from the run

    Returns the times of the sides that finished, and the exceptions of the others.
    """
    calls: dict[str, int] = {}
    times: dict[str, list[float]] = {name: [] for name in sides}
    left = dict.fromkeys(sides, most_seconds)
    failed: dict[str, Exception] = {}

    def attempt(name: str, n: int) -> float | None:
        try:
            return sides[name](n)
        except failures as error:
            failed[name] = error
            return None

    for name in sides:
        # The first call compiles and allocates; the second shows how many calls fit into a turn.
        if attempt(name, 1) is not None and (once := attempt(name, 1)) is not None:
            calls[name] = max(1, round(round_seconds / once))
    for k in range(rounds):
        for name in list(calls) if k % 2 == 0 else reversed(list(calls)):
            if name in failed or (times[name] and left[name] < calls[name] * times[name][-1]):
                continue
            seconds = attempt(name, calls[name])
            if seconds is not None:
                times[name].append(seconds)
                left[name] -= calls[name] * seconds
    return {name: Times.of(t) for name, t in times.items() if name not in failed}, failed
