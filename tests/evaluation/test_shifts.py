"""Which groups of frames have shifted energies, for errors that are drawn with known means and scatters."""

import dataclasses
import json

import numpy as np
import pytest

from equipot.evaluation.errors import error_report
from equipot.evaluation.evaluation import Evaluation
from equipot.evaluation.shifts import group_shifts
from equipot.structures import Frame

ATOMS = 31


def case(groups: dict[str, tuple[float, float, int]], seed: int = 0, atoms: int = ATOMS):
    """Frames without forces, and predictions whose errors (meV/atom) have a mean and a scatter in each group."""
    rng = np.random.default_rng(seed)
    frames, predictions = [], []
    for group, (mean, scatter, n) in groups.items():
        for error in rng.normal(mean, scatter, n):
            frame = Frame(
                np.full(atoms, 14), np.zeros((atoms, 3)), np.eye(3), np.ones(3, bool), config_type=group
            )
            frames.append(frame.relabelled(energy=-5.0 * atoms))
            predictions.append({"energy": np.asarray(atoms * (-5.0 + error / 1000))})
    return frames, predictions


def shifted(groups, **options) -> list[str]:
    return [shift.group for shift in group_shifts(*case(groups, **options))]


OTHERS = {"bulk": (0, 1.0, 20), "liquid": (0, 6.0, 10)}


def test_a_group_whose_energies_are_all_too_low_is_named_with_its_size():
    frames, predictions = case({**OTHERS, "vacancy": (-7, 1.0, 6)})
    evaluation = Evaluation(frames, predictions, error_report(frames, predictions))
    mean = evaluation.to_dict()["groups"]["vacancy"]["energy_per_atom"]["mean"]
    assert mean == pytest.approx(-0.007, abs=0.001)
    (shift,) = group_shifts(frames, predictions)
    assert shift.per_atom == pytest.approx(-0.007, abs=0.001)
    assert shift.per_frame == pytest.approx(ATOMS * shift.per_atom)
    remark = evaluation.remarks()[-1]
    assert f"group vacancy are {-1000 * shift.per_atom:.1f} meV/atom too low" in remark
    assert f"({-shift.per_frame:.2f} eV per frame)" in remark


def test_the_smaller_part_of_two_is_the_shifted_one():
    assert shifted({"bulk": (0, 1.0, 20), "vacancy": (7, 1.0, 5)}) == ["vacancy"]


@pytest.mark.parametrize(
    ("why", "groups", "atoms"),
    [
        ("an error that all frames share", {"a": (20, 1, 10), "b": (20, 1, 10)}, ATOMS),
        ("one group", {"a": (20, 1, 10)}, ATOMS),
        ("two frames", {**OTHERS, "vacancy": (-7, 1.0, 2)}, ATOMS),
        ("the scatter of a liquid", {"bulk": (0, 1.0, 20), "liquid": (4, 8.0, 10)}, ATOMS),
        ("small in all", {"bulk": (0, 0.1, 20), "vacancy": (-1, 0.1, 10)}, ATOMS),
        ("small frames", {"bulk": (0, 1.0, 20), "pair": (-7, 1.0, 10)}, 2),
    ],
)
def test_no_other_group_is_named(why, groups, atoms):
    assert not shifted(groups, atoms=atoms), why


def test_noise_is_rarely_taken_for_a_shift():
    """Small test sets of seven groups without any shift: at most one in fifty has a sentence."""
    scatters_and_sizes = [(1, 3), (2, 3), (8, 3), (1, 5), (3, 4), (1, 3), (2, 6)]
    groups = {f"g{k}": (0, scatter, n) for k, (scatter, n) in enumerate(scatters_and_sizes)}
    assert sum(bool(shifted(groups, seed=seed)) for seed in range(400)) <= 8


def test_the_mean_has_the_sign_of_prediction_minus_label():
    report = error_report(*case({"a": (-3, 0, 4)}))
    assert report["energy"].mean == pytest.approx(-0.003)
    assert json.dumps(dataclasses.asdict(report["energy"]))
