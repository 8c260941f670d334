"""What ends a training before its epochs or its time are over."""

from typing import Any

import lightning.pytorch as pl
from rich.console import Console

from equipot.training.checkpoints import Checkpoints
from equipot.training.module import potential_module
from equipot.training.schedule import cycle


class BelowRate(pl.Callback):
    """Ends a plateau training whose learning rate has become too small."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = potential_module(pl_module)
        if module.config.peak_rate * module.plateau.scale < self.limit:
            trainer.should_stop = True


class Patience(pl.Callback):
    """Ends a training whose score has not improved for `patience` epochs."""

    def __init__(self, checkpoints: Checkpoints, patience: int) -> None:
        self.checkpoints, self.patience = checkpoints, patience

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.checkpoints.epochs_since_best >= self.patience:
            trainer.should_stop = True


# The first cycles are short and end by chance: those that end before this part of the training are not judged.
JUDGED_FROM = 0.25


class NoBetterCycle(pl.Callback):
    """Ends a training with restarts when a whole cycle, as long as all before it, has brought no better validation.

    Small or noisy sets are learnt by heart from some point on; that shows here, without a guess of how long they take.
    """

    def __init__(self, checkpoints: Checkpoints, console: Console) -> None:
        self.checkpoints = checkpoints
        self.console = console
        self.cycle = 0
        self.best = float("inf")  # score before the present cycle

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        progress = potential_module(pl_module).progress()
        now, _ = cycle(progress)
        if now > self.cycle and progress >= JUDGED_FROM and not self.checkpoints.best < self.best:
            trainer.should_stop = True
            self.console.print("twice as long a training has brought no better validation: it ends here")
        if now != self.cycle:  # lower after the time was extended
            self.cycle, self.best = now, self.checkpoints.best

    def state_dict(self) -> dict[str, Any]:
        return {"cycle": self.cycle, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.cycle, self.best = state_dict["cycle"], state_dict["best"]
