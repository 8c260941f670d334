"""The log of a training, metrics.csv: one row per epoch. A resumed training continues it."""

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
    """A callback that writes metrics.csv, in eV and Å. The epoch with the lowest `score` gives the best checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch > 0 and self.path.exists():
            # Rows after the checkpoint belong to epochs that the resumed training repeats.
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
        # A new file replaces the old one, so that a killed process leaves no incomplete line.
        temporary = self.path.with_suffix(".tmp")
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(temporary, self.path)


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Return the rows of a metrics.csv, as text."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
