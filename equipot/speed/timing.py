"""The timing of calls in turns, so that other load on the machine affects all of them equally."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import torch

WARM_UP = 3  # rounds; TorchScript optimises its code after two calls


@dataclass(frozen=True)
class Times:
    """The seconds per call, over all rounds."""

    minimum: float
    median: float
    rounds: int

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def in_turns(
    pieces: Mapping[str, Callable[[int], object]],
    seconds: float,
    rounds: int | None = None,
    device: torch.device | None = None,
) -> dict[str, Times]:
    """Call all pieces in order, round after round, and return the times of each.

    Args:
        pieces: functions of the number of the round by name; the warm-up has the first numbers
        seconds: time after which no further round begins; there are at least three rounds
        rounds: number of rounds, instead of a time
        device: device whose queue must be empty before the clock is read
    """
    taken: dict[str, list[float]] = {name: [] for name in pieces}
    on_gpu = device is not None and device.type == "cuda"
    wait = (lambda: torch.cuda.synchronize(device)) if on_gpu else lambda: None
    begin = time.perf_counter()
    number = 0
    while True:
        done = number - WARM_UP
        if done == 0:
            begin = time.perf_counter()
        if done >= (rounds or 3) and (rounds is not None or time.perf_counter() - begin > seconds):
            break
        for name, piece in pieces.items():
            wait()
            start = time.perf_counter()
            piece(number)
            wait()
            if done >= 0:
                taken[name].append(time.perf_counter() - start)
        number += 1
    return {name: Times(min(t), statistics.median(t), len(t)) for name, t in taken.items()}
