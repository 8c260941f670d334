"""The Lightning trainer of a training: callbacks, logger, limits, and what happens at Ctrl-C."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.profilers import SimpleProfiler
from lightning.pytorch.strategies import DDPStrategy
from rich.console import Console

from equipot.config import Config
from equipot.data.datamodule import GraphDataModule
from equipot.training.checkpoints import Checkpoints, WriteCheckpoints
from equipot.training.log import MetricsFile
from equipot.training.module import EpochResults, PotentialModule
from equipot.training.progress import TrainingProgress
from equipot.training.stopping import BelowRate, NoBetterCycle, Patience


def build_trainer(
    config: Config, output: Path, console: Console, profiler: SimpleProfiler | None = None
) -> pl.Trainer:
    """Return the trainer of a config; its files go to `output`."""
    t = config.training
    checkpoints = Checkpoints(output / "checkpoints")
    callbacks: list[pl.Callback] = [
        EpochResults(),
        checkpoints,
        TrainingProgress(console),
    ]
    if t.schedule == "restarts":
        callbacks.append(NoBetterCycle(checkpoints, console))
    if t.early_stop_patience:
        callbacks.append(Patience(checkpoints, t.early_stop_patience))
    if t.min_learning_rate:
        callbacks.append(BelowRate(t.min_learning_rate))
    # A checkpoint holds what the callbacks before it have decided, and an epoch in the log has its checkpoint.
    callbacks += [WriteCheckpoints(checkpoints), MetricsFile(output / "metrics.csv")]
    many = t.devices * t.num_nodes > 1
    with _quiet():
        trainer = pl.Trainer(
            default_root_dir=output,
            accelerator="cuda" if t.accelerator == "gpu" else t.accelerator,
            devices=t.devices,
            num_nodes=t.num_nodes,
            strategy=DDPStrategy(broadcast_buffers=False) if many else "auto",
            max_epochs=t.max_epochs if t.max_epochs is not None else -1,
            callbacks=callbacks,
            logger=_tensorboard(output),
            profiler=profiler,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            reload_dataloaders_every_n_epochs=1,
            inference_mode=False,
            log_every_n_steps=1_000_000,
        )
    return trainer


def _tensorboard(output: Path) -> Any:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        return False
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(save_dir=output, name="tensorboard", version="")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's banners and its hints about workers, loggers and devices, which do not apply here."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning")
    levels = {n: logging.getLogger(n).level for n in names}
    try:
        for n in names:
            logging.getLogger(n).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for n, level in levels.items():
            logging.getLogger(n).setLevel(level)


def fit(trainer: pl.Trainer, module: PotentialModule, data: GraphDataModule, checkpoint: Path | None) -> None:
    """Train, from a checkpoint if there is one; raise KeyboardInterrupt after Ctrl-C."""
    interrupted = False
    with _quiet():
        try:
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # Lightning raises it after Ctrl-C
            interrupted = True
    if interrupted or trainer.interrupted:
        raise KeyboardInterrupt(
            "the last complete epoch is saved; the same command with --resume continues from it"
        )
