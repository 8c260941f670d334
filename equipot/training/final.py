"""The final training on all frames, validation frames included, for the length that the validation has found best.

Small sets are fitted in a fraction of the time, and each of their frames counts. So when a training with restarts ends
early, and time for it is left, a new network is trained on all frames along one cosine.
"""

from dataclasses import replace
from typing import Any

from equipot.config import Config
from equipot.data.loading import DataSets, mean_volume_per_atom
from equipot.data.statistics import compute_statistics
from equipot.training.checkpoints import state_of_scores

FINAL = "final"  # folder of its files in the output folder


def final_epochs(last: dict[str, Any], config: Config, data: DataSets) -> int | None:
    """Return the number of epochs of the final training after a checkpoint; None if there is to be none.

    There is one if the validation frames come from the training files, the schedule has restarts, and the training
    has ended so early that a training of the best length fits into the rest of its time.
    """
    t = config.training
    if not t.final or t.schedule != "restarts" or config.data.validation or not len(data.validation):
        return None
    if not isinstance(data.train, list) or t.devices * t.num_nodes > 1:  # streamed sets are large
        return None
    best, done = state_of_scores(last)["best_epoch"] + 1, last["epoch"] + 1
    progress = done / t.max_epochs if t.max_epochs else last["equipot"]["elapsed"] / (t.max_time or 1.0)
    more_frames = (len(data.train) + len(data.validation)) / len(data.train)
    if best < 1 or done < 1 or progress * best / done * more_frames > 1 - progress:
        return None
    return best


def of_all_frames(config: Config, data: DataSets, epochs: int) -> tuple[Config, DataSets]:
    """Return config and sets of the final training; there are no validation frames."""
    training = config.training.model_copy(
        update={"schedule": "cosine", "max_epochs": epochs, "max_time": None}
    )
    train = [*data.train, *data.validation]
    everything = replace(
        data,
        train=train,
        validation=[],
        n_edges=[*data.n_edges, *data.n_edges_validation],
        n_edges_validation=[],
        statistics=compute_statistics(train, data.species, config.data.e0),
        volume_per_atom=mean_volume_per_atom(train),
    )
    return config.model_copy(update={"training": training}), everything
