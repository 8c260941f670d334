"""The picture of the README shows the numbers of the benchmarks."""

import re

import pytest

from benchmarks.accuracy.published import PUBLISHED
from benchmarks.command import BenchmarkError
from benchmarks.picture import Bar, Point, bars, draw, points


def row(preset: str, peer: float, best: bool = True, task: str = "inference") -> dict:
    return {
        "task": task,
        "preset": preset,
        "best": best,
        "equipot_us_per_atom": 10.0,
        "peer_us_per_atom": peer,
    }


def result(minutes: float, forces: float, name: str = "3bpa") -> dict:
    return {"set": name, "title": name, "cpu_minutes": minutes, "errors": {"all": [3.0, forces, None]}}


def test_each_preset_stands_beside_the_fastest_mode_of_nequip():
    rows = [
        row("S", 150.0),
        row("S", 120.0),
        row("S", 90.0, best=False),
        row("M", 400.0),
        row("M", 1.0, task="training"),
    ]
    assert bars(rows) == [Bar("S", 10.0, 120.0), Bar("M", 10.0, 400.0)]


def test_a_benchmark_without_nequip_is_refused():
    with pytest.raises(BenchmarkError, match="run it with --nequip-python"):
        bars([row("S", 150.0, best=False)])


def test_errors_are_in_units_of_the_best_published_one_by_time():
    best = min(forces for _, forces in PUBLISHED["3bpa"].errors["all"].values() if forces)
    assert points([result(40, 2 * best), result(20, 3 * best)]) == {"3bpa": [Point(20, 3.0), Point(40, 2.0)]}


def test_the_picture_names_what_it_shows_and_needs_no_font_of_its_own(figures, tmp_path):
    file = tmp_path / "picture.svg"
    draw([Bar("S", 10.0, 150.0)], {"Silicon": [Point(20, 1.5)]}, file)
    text = file.read_text()
    assert all(
        word in text for word in ("Silicon", "size S", "× 15", "nequip, fastest mode", "best published")
    )
    assert not re.search(r'href="http|@import|url\(http', text)
