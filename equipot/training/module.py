"""The LightningModule: the training step, the average of the weights, and the content of a checkpoint."""

import math
import time
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from equipot.config import TrainingConfig
from equipot.data.graph import Batch, Graph, collate
from equipot.device import device_name
from equipot.errors import NumericsError
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from equipot.network.radial import RadialNetwork
from equipot.network.state import current_names
from equipot.quantities import LABELS
from equipot.training.clipping import GradientClip
from equipot.training.loss import Loss, residuals
from equipot.training.metrics import LabelErrors
from equipot.training.off_data import OffData
from equipot.training.optimizer import MuonAdamW
from equipot.training.schedule import Plateau, fallen, learning_rate


def errors_of(potential: Potential, graphs: Sequence[Graph]) -> dict[str, float]:
    """Return the errors of a network on all these graphs, as this process computes them; none without graphs."""
    label_errors = LabelErrors(over_ranks=False)
    for graph in graphs:
        batch = collate([graph])
        label_errors.update(residuals(predict(potential, batch.inputs), batch))
    return label_errors.compute() if graphs else {}


class PotentialModule(pl.LightningModule):
    """The training of a potential as a LightningModule.

    Args:
        potential: the network, with initial weights.
        config: the training section of the config.
        description: plain values that a checkpoint stores beside the weights (spec, statistics, config).
        graphs: the training set, whose frames the terms off the data change.
    """

    def __init__(
        self,
        potential: Potential,
        config: TrainingConfig,
        description: dict[str, Any],
        graphs: Sequence[Graph] = (),
    ) -> None:
        super().__init__()
        self.potential = potential
        self.config = config
        self.description = description
        self.loss = Loss(config.loss)
        self.average = None
        if config.ema_decay > 0:
            self.average = AveragedModel(potential, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
            self.average.requires_grad_(False)
        self._tables: list[Tensor] = []  # of the radial networks, in the present step
        self._radial = [m for m in potential.modules() if isinstance(m, RadialNetwork)]
        if config.loss.curvature > 0:
            for radial in self._radial:
                radial.register_forward_hook(lambda *call: self._tables.append(call[-1]))
        self.off_data = OffData(potential, graphs, config.batch_size, config.seed)
        self.train_errors, self.validation_errors = LabelErrors(), LabelErrors()
        self.plateau = Plateau(config.plateau_patience, config.plateau_factor)
        self.clip = GradientClip(config.gradient_clip)
        self.elapsed = 0.0  # seconds of training, including the time before a resumption
        self._clock = time.monotonic()
        self._losses: list[Tensor] = []
        self.results: dict[str, float] = {}  # of the last epoch, for the callbacks

    @property
    def trained(self) -> Potential:
        """The network to evaluate and export, with averaged weights if the training averages them."""
        return self.potential if self.average is None else self.average.module  # type: ignore[return-value]

    def _trainable(self) -> list[torch.nn.Parameter]:
        return [p for p in self.potential.parameters() if p.requires_grad]

    def evaluate(self, graphs: Sequence[Graph]) -> tuple[float, dict[str, float]]:
        """Return score and errors of the network to export, computed as in validation; no errors without graphs."""
        errors = errors_of(self.trained, graphs)
        return self._score(errors), errors

    # --- one step

    def progress(self) -> float:
        """Return the completed fraction of the training: of `max_epochs` if it is set, else of `max_time`."""
        c = self.config
        if c.max_epochs is None and c.max_time is not None:
            return self.elapsed / c.max_time
        per_epoch = max(1, self.trainer.num_training_batches)
        return self.trainer.global_step / (per_epoch * (c.max_epochs or 1))

    def on_train_start(self) -> None:
        self._clock = time.monotonic()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        rate = learning_rate(self.config, self.trainer.global_step, self.progress(), self.plateau)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self._tables.clear()
        prediction = predict(self.potential, batch.inputs, create_graph=True)
        r = residuals(prediction, batch)
        loss = self.loss(r, fallen(self.config, self.progress()))
        if self._tables:
            loss = loss + self._curvature()
        loss = self.off_data.added(loss, self.potential, self.trainer.global_step)
        if not torch.isfinite(loss):
            raise NumericsError(
                f"the loss is {float(loss.detach())} in epoch {self.current_epoch}, step {self.trainer.global_step}; "
                "lower training.learning_rate or training.gradient_clip, and check the labels with `equipot check`"
            )
        self.train_errors.update(r)
        self._losses.append(loss.detach())
        # The loss of a batch without weighted labels has no gradient, and Lightning's loop needs one: give it zeros.
        return loss if loss.requires_grad else loss + 0.0 * sum(p.sum() for p in self._trainable())

    def _curvature(self) -> Tensor:
        """Return the weighted curvature of the radial functions, a mean over the layers."""
        pairs = zip(self._radial, self._tables, strict=True)
        terms = [radial.curvature(table, self.potential.shortest_u) for radial, table in pairs]
        return self.config.loss.curvature * torch.stack(terms).mean().to(torch.float64)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        # Naming the parameters avoids the gradient by the edge vectors, which is many times as expensive as the others.
        loss.backward(inputs=self._trainable())

    def configure_gradient_clipping(self, *args: Any, **kwargs: Any) -> None:
        # Lightning's own limit is a number in the unit of the loss; this one has none.
        self.clip(p.grad for p in self._trainable() if p.grad is not None)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.average is not None:
            self.average.update_parameters(self.potential)
        self._tick()
        if self.config.max_time is not None and self.elapsed >= self.config.max_time:
            self.trainer.should_stop = True

    # --- epochs

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        r = residuals(predict(self.trained, batch.inputs), batch)
        self.validation_errors.update(r)

    def end_epoch(self) -> None:
        """Compute `results`. `EpochResults` calls this before the callbacks that use them."""
        losses = torch.stack(self._losses).mean()
        self._losses.clear()
        results = {
            "train_loss": float(self.trainer.strategy.reduce(losses, reduce_op="mean")),
            "learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
        }
        results.update({f"train_{k}": v for k, v in self.train_errors.compute().items()})
        validation = self.validation_errors.compute()
        results.update({f"validation_{k}": v for k, v in validation.items()})
        score = self._score(validation) if validation else results["train_loss"]
        results["score"] = score
        if self.config.schedule == "plateau":
            self.plateau.update(score)
        self._tick()
        self.results = results
        for logger in self.trainer.loggers:
            logger.log_metrics(results, step=self.trainer.global_step)

    def _tick(self) -> None:
        now = time.monotonic()
        self.elapsed += now - self._clock
        self._clock = now
        if self.config.max_time is not None and self.trainer.world_size > 1:
            # Learning rate and end depend on the time, so every rank uses the time of the first.
            self.elapsed = self.trainer.strategy.broadcast(self.elapsed)

    def _score(self, errors: dict[str, float]) -> float:
        """Return the score of an epoch: the validation errors with the final weights of the loss (eV and Å)."""
        weights = self.loss.weights(1.0)
        volume = self.description["volume_per_atom"] or 0.0
        return math.fsum(
            weights[q.name]
            * (errors.get(f"{q.error_name}_rmse", 0.0) * (volume if q.needs_volume else 1.0)) ** 2
            for q in LABELS
        )

    # --- optimizer and checkpoint

    def configure_optimizers(self) -> torch.optim.Optimizer:
        c = self.config
        if c.optimizer == "muon":
            return MuonAdamW(self.potential, lr=c.peak_rate, weight_decay=c.weight_decay)
        return torch.optim.AdamW(self._trainable(), lr=c.peak_rate, weight_decay=c.weight_decay)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["equipot"] = {
            "version": 1,
            "description": self.description,
            "plateau": self.plateau.state(),
            "clip": self.clip.state(),
            "elapsed": self.elapsed,
            "device": device_name(self.device),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["equipot"]
        checkpoint["state_dict"] = current_names(checkpoint["state_dict"])
        self.plateau.load(state["plateau"])
        if "clip" in state:  # not in the files of earlier versions
            self.clip.load(state["clip"])
        self.elapsed = state["elapsed"]


def potential_module(module: pl.LightningModule) -> PotentialModule:
    """Return the module that a callback receives, with the type `PotentialModule`."""
    assert isinstance(module, PotentialModule)
    return module


class EpochResults(pl.Callback):
    """A callback that computes the results of an epoch; it must come first, as the other callbacks use them."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        potential_module(pl_module).end_epoch()
