"""Checkpoints: tensors and plain values, written whole or not at all, and read without running any code in them."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from equipot.errors import ModelFileError
from equipot.network.potential import Potential
from equipot.network.spec import PotentialSpec
from equipot.network.state import current_names
from equipot.training.module import PotentialModule, potential_module


class Checkpoints(pl.Callback):
    """A callback that knows the lowest score so far, and writes best.ckpt and last.ckpt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best = float("inf")
        self.best_epoch = -1
        self.epochs_since_best = 0
        self.ended = False  # with the last epoch

    def begin_with(self, module: PotentialModule, score: float) -> None:
        """Write the weights before the first step as best.ckpt, until an epoch has a lower score."""
        state = {f"potential.{name}": value for name, value in module.trained.state_dict().items()}
        extra: dict[str, Any] = {}
        module.on_save_checkpoint(extra)
        torch.save({"state_dict": state, "epoch": -1, "global_step": 0, **extra}, self.folder / "best.ckpt")
        self.best = score

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        score = potential_module(pl_module).results["score"]
        if score < self.best:
            self.best, self.best_epoch, self.epochs_since_best = score, trainer.current_epoch, 0
        else:
            self.epochs_since_best += 1

    def write(self, trainer: pl.Trainer) -> None:
        """Write last.ckpt, and best.ckpt if the score of the last epoch is the lowest so far."""
        self.ended = trainer.should_stop
        names = ["last.ckpt"] if self.epochs_since_best else ["best.ckpt", "last.ckpt"]
        for name in names:
            self._save(trainer, self.folder / name)

    @staticmethod
    def _save(trainer: pl.Trainer, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        try:
            trainer.save_checkpoint(temporary)
            if trainer.is_global_zero:
                with open(temporary, "rb") as file:
                    os.fsync(file.fileno())
                os.replace(temporary, path)
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise OSError(
                28, f"checkpoint could not be written ({reason}); the previous one still exists", str(path)
            ) from None

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "epochs_since_best": self.epochs_since_best,
            "ended": self.ended,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.epochs_since_best = state_dict["epochs_since_best"]


class WriteCheckpoints(pl.Callback):
    """A callback that writes the checkpoints of an epoch, after the callbacks that decide whether it is the last."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.checkpoints.write(trainer)


def state_of_scores(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint knows about the scores of its training: the state of `Checkpoints`."""
    state: dict[str, Any] = checkpoint["callbacks"]["Checkpoints"]
    return state


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the content of a checkpoint, which is tensors and plain values only.

    Raise ModelFileError for a file that is missing, damaged, not a checkpoint, or that asks to run code.
    """
    path = Path(path)
    if not path.exists():
        raise ModelFileError(f"{path}: no such checkpoint")
    if not zipfile.is_zipfile(path):
        raise ModelFileError(f"{path}: damaged, or not a checkpoint of `equipot train`")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        asks_for_code = isinstance(error, pickle.UnpicklingError) and "Unsupported" in str(error)
        reason = (
            "holds more than tensors and plain values; refused"
            if asks_for_code
            else "damaged, or not a checkpoint of `equipot train`"
        )
        raise ModelFileError(f"{path}: {reason}") from None
    if not isinstance(checkpoint, dict) or "equipot" not in checkpoint:
        raise ModelFileError(f"{path}: not a checkpoint of equipot; expected one written by `equipot train`")
    if checkpoint["equipot"].get("version") != 1:
        version = checkpoint["equipot"].get("version")
        raise ModelFileError(
            f"{path}: checkpoint version {version}, this equipot reads 1; install a newer equipot"
        )
    return checkpoint


def potential_of(checkpoint: dict[str, Any]) -> Potential:
    """Return the trained network of a checkpoint, with averaged weights if the training averaged them."""
    potential = Potential(PotentialSpec.from_dict(checkpoint["equipot"]["description"]["spec"]))
    weights = current_names(checkpoint["state_dict"])
    averaged = "average.module."
    prefix = averaged if any(name.startswith(averaged) for name in weights) else "potential."
    potential.load_state_dict({n[len(prefix) :]: w for n, w in weights.items() if n.startswith(prefix)})
    return potential
