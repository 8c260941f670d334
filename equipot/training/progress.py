"""The display of a running training: a row per epoch, and a bar with speed and remaining time."""

import math
import time
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from equipot.data.graph import Batch
from equipot.quantities import LABELS
from equipot.training.checkpoints import Checkpoints
from equipot.training.module import PotentialModule, potential_module

WIDTH = 10  # of a column of errors
UNITS = " ".join(f"{'m' + q.error_unit:>{WIDTH}}" for q in LABELS)
HEADER = f"""                           learning              {{part}} RMSE
{"epoch":>6} {"time":>8} {"left":>8} {"rate":>8} {"loss":>9}  {UNITS}"""
SECONDS = 5.0  # least time between two rows
SHARE = 0.01  # least share of the training between two rows of a log file


class _TimeLeft(ProgressColumn):
    def render(self, task: Task) -> Text:
        left = task.fields.get("left")
        return Text("" if left is None else f"{clock(left)} left", style="cyan")


def clock(seconds: float) -> str:
    """Return a time as H:MM:SS."""
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{s:02d}"


class TrainingProgress(pl.Callback):
    """A callback that prints a table of the epochs, a row every few seconds, and on a terminal a bar.

    A star marks a row if its epoch, or one since the row before, is the best so far. A log file gets about a hundred
    rows.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self._started = 0.0
        self._atoms = 0
        self._initial_progress = self._initial_elapsed = 0.0
        self._printed = self._printed_at = -math.inf
        self._best, self._better = math.inf, False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.monotonic()
        self._initial_progress = potential_module(pl_module).progress()
        self._initial_elapsed = potential_module(pl_module).elapsed
        self._printed = self._printed_at = -math.inf
        self._best = min((c.best for c in trainer.callbacks if isinstance(c, Checkpoints)), default=math.inf)  # type: ignore[attr-defined]
        labels = potential_module(pl_module).description["labels"]
        part = "validation" if labels["validation"] else "training"
        self.console.print(HEADER.format(part=part), style="bold", markup=False, highlight=False)
        if self.console.is_terminal:
            self.bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(bar_width=None),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[rate]}"),
                _TimeLeft(),
                console=self.console,
                transient=True,
            )
            self.task = self.bar.add_task("", total=1.0, epoch=trainer.current_epoch, rate="", left=None)
            self.bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self.bar is None:
            return
        self._atoms += batch.inputs.species.shape[0]
        spent = time.monotonic() - self._started
        done = min(1.0, self._done(trainer, pl_module))
        left = self._left(done, potential_module(pl_module))
        rate = f"{self._atoms / max(spent, 1e-9):,.0f} atoms/s"
        self.bar.update(self.task, completed=done, epoch=trainer.current_epoch, rate=rate, left=left)

    def _left(self, done: float, module: PotentialModule) -> float | None:
        """Return the seconds left after `done` (0 to 1) of the training, at its mean speed; None if not known yet."""
        share = done - self._initial_progress
        # The clock of the module is that of max_time: it does not count what comes before the first step.
        return (module.elapsed - self._initial_elapsed) * (1 - done) / share if share > 1e-6 else None

    @staticmethod
    def _done(trainer: pl.Trainer, pl_module: pl.LightningModule) -> float:
        module = potential_module(pl_module)
        limit = module.config.max_time
        return max(module.progress(), module.elapsed / limit) if limit else module.progress()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        module = potential_module(pl_module)
        r = module.results
        done = min(1.0, self._done(trainer, pl_module))
        self._better = self._better or r["score"] < self._best
        self._best = min(self._best, r["score"])
        now = time.monotonic()
        if done < 1.0 and (
            now - self._printed_at < SECONDS or (self.bar is None and done - self._printed < SHARE)
        ):
            return
        self._printed, self._printed_at = done, now
        left = self._left(done, module)
        star, self._better = " *" if self._better else "", False
        part = "validation" if any(k.startswith("validation_") for k in r) else "train"
        errors = [
            f"{1000 * r[key]:>{WIDTH}.{q.decimals}f}"
            if (key := f"{part}_{q.error_name}_rmse") in r
            else f"{'–':>{WIDTH}}"
            for q in LABELS
        ]
        self.console.print(
            f"{trainer.current_epoch:>6} {clock(module.elapsed):>8} {'' if left is None else clock(left):>8} "
            f"{r['learning_rate']:>8.1e} {r['train_loss']:>9.2e}  {' '.join(errors)}{star}",
            highlight=False,
            markup=False,
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
