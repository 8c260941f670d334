"""Timing pieces of work in turns, so that what else happens on the machine meets all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import torch

WARM_UP = 3  # rounds; TorchScript looks at two calls before it settles on its code


@dataclass(frozen=True)
class Times:
    """Seconds per call over the rounds."""

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
    """Call all pieces round after round, in their order, and time each call.

    Args:
        pieces: name -> function of the number of the round, which counts on from the warm-up's
        seconds: after which no further round begins; three are made at least
        rounds: this many instead
        device: whose queue must be empty before the clock is read
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
