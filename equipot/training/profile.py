"""The time of an epoch by part, from the records of Lightning's profiler."""

import re
from collections.abc import Mapping, Sequence

from lightning.pytorch.profilers import SimpleProfiler
from rich.table import Table

EPOCH = "run_training_epoch"
STEP, BACKWARD = "[Strategy].training_step", "[Strategy].backward"
# It includes the training step and the backward pass, which are subtracted.
OPTIMIZER = "[LightningModule]PotentialModule.optimizer_step"
PARTS = {
    "batches put together": ("[_TrainingEpochLoop].train_dataloader_next", "[_EvaluationLoop].val_next"),
    "energies, forces, loss": (STEP,),
    "gradient of the weights": (BACKWARD,),
    "average of the weights": ("[LightningModule]PotentialModule.on_train_batch_end",),
    "validation": ("[Strategy].validation_step",),
    "checkpoints": ("[Callback]WriteCheckpoints.on_train_epoch_end",),
}


def split(durations: Mapping[str, Sequence[float]]) -> tuple[dict[str, float], float]:
    """Return seconds by part and in total, from the seconds by action of `SimpleProfiler.recorded_durations`."""
    spent: dict[str, float] = {}
    for action, seconds in durations.items():
        name = re.sub(
            r"^\[Strategy\]\w+", "[Strategy]", action
        )  # the class of the strategy depends on the number of devices
        spent[name] = spent.get(name, 0.0) + sum(seconds)
    total = spent.get(EPOCH, 0.0)
    parts = {name: sum(spent.get(a, 0.0) for a in actions) for name, actions in PARTS.items()}
    parts["optimizer"] = max(0.0, spent.get(OPTIMIZER, 0.0) - spent.get(STEP, 0.0) - spent.get(BACKWARD, 0.0))
    parts["other"] = max(0.0, total - sum(parts.values()))
    return parts, total


def profile_table(profiler: SimpleProfiler) -> Table:
    """Return a table of the time of each part per epoch, and its share."""
    parts, total = split(profiler.recorded_durations)
    n_epochs = max(1, len(profiler.recorded_durations.get(EPOCH, ())))
    table = Table(title=f"Time of an epoch (mean of {n_epochs})")
    table.add_column("part")
    table.add_column("ms", justify="right")
    table.add_column("share", justify="right")
    for name, seconds in sorted(parts.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{1e3 * seconds / n_epochs:.1f}", f"{100 * seconds / max(total, 1e-9):.1f} %")
    table.add_section()
    table.add_row("all", f"{1e3 * total / n_epochs:.1f}", "")
    return table
