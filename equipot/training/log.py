"""metrics.csv: one row per epoch, complete after every epoch, continued by a resumed training."""

import csv
import os
from pathlib import Path

import lightning.pytorch as pl

from equipot.quantities import LABELS
from equipot.training.module import potential_module

COLUMNS = ["epoch", "step", "seconds", "learning_rate", "train_loss", "score"] + [
    f"{part}_{quantity.error_name}_{kind}"
    for part in ("train", "validation")
    for quantity in LABELS
    for kind in ("mae", "rmse")
]


class MetricsFile(pl.Callback):
    """Units eV, Å; `score` is what the best checkpoint is chosen by."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch > 0 and self.path.exists():
            # What was logged after the checkpoint happened in a training that no longer counts.
            self.rows = [r for r in read_metrics(self.path) if int(r["epoch"]) < trainer.current_epoch]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        module = potential_module(pl_module)
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "seconds": round(module.elapsed, 2),
            **module.results,
        }
        self.rows.append({name: str(row[name]) if name in row else "" for name in COLUMNS})
        # Written anew each time: a kill leaves the old file or the new one, never half a line.
        temporary = self.path.with_suffix(".tmp")
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(temporary, self.path)


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Rows of a metrics.csv, as text."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
