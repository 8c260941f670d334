from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from equipot.data.split import split
from equipot.structures import frame_from_atoms


def frames(n, config_type="default", seed=0):
    rng = np.random.default_rng(seed)
    return [
        replace(frame_from_atoms(Atoms("Cu2", positions=rng.uniform(0, 5, (2, 3)))), config_type=config_type)
        for _ in range(n)
    ]


def test_every_frame_is_in_one_part_and_the_seed_decides_which():
    some = frames(50)
    parts = split(some, (0.2, 0.1), seed=3)
    assert sorted(i for part in parts for i in part) == list(range(50))
    assert [len(p) for p in parts] == [35, 10, 5]
    assert parts == split(some, (0.2, 0.1), seed=3)
    assert parts != split(some, (0.2, 0.1), seed=4)


def test_every_config_type_is_shared_out_in_proportion():
    some = [*frames(100, "a", 1), *frames(40, "b", 2), *frames(7, "c", 3)]
    _, validation = split(some, (0.1,), seed=0)
    counts = Counter(some[i].config_type for i in validation)
    assert abs(counts["a"] - 10) <= 1
    assert abs(counts["b"] - 4) <= 1
    assert counts["c"] <= 2
    assert abs(len(validation) - 14.7) < 1


def test_identical_structures_stay_together_even_under_two_config_types():
    some = frames(20)
    some += [replace(f.relabelled(energy=1.0), config_type="again") for f in some[:10]] + some[:5]
    for seed in range(5):
        parts = split(some, (0.3,), seed)
        place = {i: p for p, part in enumerate(parts) for i in part}
        assert all(place[i] == place[20 + i] for i in range(10))
        assert all(place[i] == place[30 + i] for i in range(5))


def test_isolated_atoms_stay_in_the_training_part():
    some = [*[frame_from_atoms(Atoms(s)) for s in ("H", "O", "Si")], *frames(4)]
    for seed in range(5):
        train, _ = split(some, (0.5,), seed)
        assert {0, 1, 2} <= set(train)


def test_small_sets_leave_no_part_empty_where_there_are_frames():
    for n in (2, 3, 5):
        assert all(split(frames(n), (0.05,), 0))
    assert split(frames(1), (0.1,), 0) == [[0], []]
    assert split([], (0.1, 0.1), 0) == [[], [], []]
    assert split(frames(3), (0.0,), 0) == [[0, 1, 2], []]


def test_fractions_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(ValueError, match="sum below 1"):
        split(frames(3), (0.5, 0.5), 0)
