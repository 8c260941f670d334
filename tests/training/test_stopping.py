"""When a training ends by itself."""

from types import SimpleNamespace

import pytest
from rich.console import Console

from equipot.training.stopping import NoBetterCycle


def stops(scores, first=1 / 64, callback=None, checkpoints=None):
    """Whether each epoch ends the training; epochs of equal length, 64 in all, with these scores."""
    checkpoints = checkpoints or SimpleNamespace(best=float("inf"))
    callback = callback or NoBetterCycle(checkpoints, Console(quiet=True))
    found = []
    for epoch, score in enumerate(scores):
        trainer = SimpleNamespace(should_stop=False)
        module = SimpleNamespace(progress=lambda epoch=epoch: (epoch + 1) * first)
        checkpoints.best = min(checkpoints.best, score)
        callback.on_train_epoch_end(trainer, module)
        found.append(trainer.should_stop)
    return found


@pytest.fixture(autouse=True)
def _any_module(monkeypatch):
    monkeypatch.setattr("equipot.training.stopping.potential_module", lambda module: module)


def test_a_training_goes_on_while_every_cycle_brings_a_better_score():
    falling = [1 / (epoch + 1) for epoch in range(64)]
    assert not any(stops(falling))


def test_a_training_ends_with_the_first_cycle_that_brings_none():
    # Cycles end after 1, 2, 4, 8, 16 epochs: the best epoch is the 7th, the cycle of epochs 9 to 16 brings nothing.
    scores = [9, 8, 7, 6, 5, 4, 3, 3.5] + [4] * 20
    assert stops(scores).index(True) == 15


def test_one_better_epoch_in_a_cycle_is_enough():
    scores = [9, 8, 7, 6, 5, 4, 3, 3.5, 4, 4, 2.9] + [4] * 30
    assert stops(scores).index(True) == 31


def test_the_first_cycles_may_bring_nothing():
    scores = [9, 8, 10, 10, 11, 12, 13, 14, 7] + [1 / k for k in range(1, 56)]
    assert not any(stops(scores))


def test_what_a_resumed_training_knows_is_what_it_knew():
    scores = [9, 8, 7, 6, 5, 4, 3, 3.5, 4, 4, 4, 4, 4, 4, 4, 4]
    checkpoints = SimpleNamespace(best=float("inf"))
    first = NoBetterCycle(checkpoints, Console(quiet=True))
    assert not any(stops(scores[:15], callback=first, checkpoints=checkpoints))
    second = NoBetterCycle(checkpoints, Console(quiet=True))
    second.load_state_dict(first.state_dict())
    assert (second.cycle, second.best) == (4, 3)
    trainer, module = SimpleNamespace(should_stop=False), SimpleNamespace(progress=lambda: 16 / 64)
    second.on_train_epoch_end(trainer, module)
    assert trainer.should_stop
