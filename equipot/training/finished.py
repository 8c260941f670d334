"""Whether a training has nothing left to do, so that resuming it changes nothing."""

from pathlib import Path
from typing import Any

from equipot.config import TrainingConfig
from equipot.training.checkpoints import state_of_scores

# These keys decide when a training ends.
LENGTH = ("max_time", "max_epochs", "early_stop_patience", "min_learning_rate")


def ended(last: dict[str, Any], training: TrainingConfig) -> str:
    """Return how much a training has done if no epoch is left; "" if it goes on.

    Args:
        last: its last checkpoint.
        training: the present settings. A training that has ended early goes on if its length has changed.
    """
    then = last["equipot"]["description"]["config"]["training"]
    elapsed, epochs = last["equipot"]["elapsed"], last["epoch"] + 1
    parts = []
    if training.max_time is not None:
        parts.append((elapsed >= training.max_time, f"{elapsed:,.0f} s of {training.max_time:,.0f} s"))
    if training.max_epochs is not None:
        parts.append((epochs >= training.max_epochs, f"{epochs} of {training.max_epochs} epochs"))
    for over, done in parts:
        if over:
            return done
    early = state_of_scores(last).get("ended", False)  # the files of earlier versions do not say it
    if early and all(then.get(key) == getattr(training, key) for key in LENGTH):
        return f"it ended early, after {parts[0][1]}"
    return ""


def sentence(done: str, training: TrainingConfig) -> str:
    """Return what to say about a finished training."""
    more = "more max_epochs" if training.max_epochs is not None else "a longer max_time"
    return f"this training is finished ({done}); give {more} to continue it"


def marker(output: Path) -> Path:
    """Return the path of the empty file that says: model and evaluation of the last checkpoint are written."""
    return output / "checkpoints" / "finished"
