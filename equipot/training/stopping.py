"""Callbacks that end a training before its epochs or its time are over."""

from typing import Any

import lightning.pytorch as pl
from rich.console import Console

from equipot.training.checkpoints import Checkpoints
from equipot.training.module import potential_module
from equipot.training.schedule import cycle


class BelowRate(pl.Callback):
    """A callback that ends a plateau training when its learning rate falls below a limit."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = potential_module(pl_module)
        if module.config.peak_rate * module.plateau.scale < self.limit:
            trainer.should_stop = True


class Patience(pl.Callback):
    """A callback that ends a training when its score has not improved for `patience` epochs."""

    def __init__(self, checkpoints: Checkpoints, patience: int) -> None:
        self.checkpoints, self.patience = checkpoints, patience

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.checkpoints.epochs_since_best >= self.patience:
            trainer.should_stop = True


# The first cycles are short, and their scores are noisy. Cycles that end before this fraction of the training do not
# end it.
EARLIEST_STOP = 0.25


class NoBetterCycle(pl.Callback):
    """A callback that ends a training with restarts when a whole cycle has brought no better validation.

    A cycle is as long as all cycles before it together. Models overfit small or noisy sets after some time; this
    criterion detects it without an estimate of that time.
    """

    def __init__(self, checkpoints: Checkpoints, console: Console) -> None:
        self.checkpoints = checkpoints
        self.console = console
        self.cycle = 0
        self.best = float("inf")  # score before the present cycle

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        progress = potential_module(pl_module).progress()
        now, _ = cycle(progress)
        if now > self.cycle and progress >= EARLIEST_STOP and not self.checkpoints.best < self.best:
            trainer.should_stop = True
            self.console.print(
                "no improvement over the last cycle, which doubled the length of the training: stopping"
            )
        if now != self.cycle:  # `now` is lower after max_time was raised
            self.cycle, self.best = now, self.checkpoints.best

    def state_dict(self) -> dict[str, Any]:
        return {"cycle": self.cycle, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.cycle, self.best = state_dict["cycle"], state_dict["best"]
