"""The table that a training prints: time left, a star at the best epochs, and few rows in a log file."""

import csv
import io
import re
import time

import pytest
from rich.console import Console

from equipot.config_file import load_config
from equipot.training import progress
from equipot.training.progress import clock
from equipot.training.run import train

ROW = re.compile(r"^ +(\d+) +\d+:\d\d:\d\d +(\d+:\d\d:\d\d)? +\S+e\S+ +\S+e.*?( \*)?$")


@pytest.fixture
def printed(config_file, monkeypatch):
    """Return the function that trains and returns the rows: epoch, time left, star."""

    def run(seconds: float, overrides: list[str]) -> list[tuple[int, str, bool]]:
        monkeypatch.setattr(progress, "SECONDS", seconds)
        file = io.StringIO()
        train(load_config(config_file, overrides), console=Console(file=file, width=120))
        matches = [m for line in file.getvalue().splitlines() if (m := ROW.match(line))]
        return [(int(m[1]), m[2], bool(m[3])) for m in matches]

    return run


def test_every_epoch_has_a_row_with_the_time_left_and_a_star_if_it_is_the_best(printed, tmp_path):
    rows = printed(0.0, ["training.max_epochs=8"])
    with open(tmp_path / "run" / "metrics.csv") as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert [epoch for epoch, _, _ in rows] == list(range(8))
    assert [star for _, _, star in rows] == [
        s < min([*scores[:k], float("inf")]) for k, s in enumerate(scores)
    ]
    assert all(left for _, left, _ in rows)
    assert rows[-1][1] == clock(0)


def test_the_time_left_and_the_time_spent_add_up_to_the_time_given(printed, tmp_path, monkeypatch):
    start = progress.TrainingProgress.on_train_start

    def slow(self, *arguments):
        start(self, *arguments)
        time.sleep(0.5)  # preparations before the first step

    monkeypatch.setattr(progress.TrainingProgress, "on_train_start", slow)
    rows = printed(0.0, ["training.max_epochs=null", "training.max_time=2"])
    assert all(int(left.split(":")[-1]) <= 2 for _, left, _ in rows)


def test_fast_epochs_share_a_row_which_has_the_star_of_all(printed):
    rows = printed(1e6, ["training.max_epochs=8"])
    assert [(epoch, star) for epoch, _, star in rows] == [(0, True), (7, True)]
