"""The learning rate as a pure function of the step and of how much of the training is done."""

import math
from dataclasses import dataclass

from equipot.config import COSINES, TrainingConfig


@dataclass
class Plateau:
    """The factor of the learning rate, which falls when the validation loss has not improved for some epochs.

    torch's ReduceLROnPlateau writes rates into an optimizer. Here the rate of a step is a function of what is known, so
    that warm-up and plateaus can be combined and a resumed training continues bit for bit.
    """

    patience: int
    factor: float
    best: float = math.inf
    waited: int = 0
    scale: float = 1.0

    def update(self, loss: float) -> None:
        if loss < self.best:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.scale *= self.factor
            self.waited = 0

    def state(self) -> dict[str, float]:
        return {"best": self.best, "waited": self.waited, "scale": self.scale}

    def load(self, state: dict[str, float]) -> None:
        self.best, self.waited, self.scale = state["best"], int(state["waited"]), state["scale"]


# The first cosine takes this fraction of the training. Each further one is as long as all before it.
FIRST_CYCLE = 2.0**-6


def cycle(progress: float) -> tuple[int, float]:
    """Return the number of the present cosine, from 0, and how much of it is done (0 to 1).

    Warm restarts with doubling lengths: Loshchilov and Hutter, ICLR (2017), section 3. The last ends with the training.
    """
    if progress < FIRST_CYCLE:
        return 0, progress / FIRST_CYCLE
    mantissa, doublings = math.frexp(min(progress, 1.0) / FIRST_CYCLE)  # mantissa from 1/2 to 1
    if progress >= 1:
        return doublings - 1, 1.0
    return doublings, 2 * mantissa - 1


def fallen(config: TrainingConfig, progress: float) -> float:
    """Return how far the cosine has fallen (0 to 1) at `progress` (0 to 1) of the training; 1 without cosines."""
    if config.schedule not in COSINES:
        return 1.0
    done = min(1.0, progress) if config.schedule == "cosine" else cycle(progress)[1]
    return 0.5 * (1 - math.cos(math.pi * done))


def learning_rate(config: TrainingConfig, step: int, progress: float, plateau: Plateau) -> float:
    """Return the learning rate of a step (counted from 0) at `progress` (0 to 1) of the training."""
    rate = config.peak_rate
    if step < config.warmup_steps:
        rate *= (step + 1) / config.warmup_steps
    if config.schedule in COSINES:
        # Ends at a hundredth: the last steps still move the average of the weights.
        rate *= 1 - 0.99 * fallen(config, progress)
    elif config.schedule == "plateau":
        rate *= plateau.scale
    return rate
