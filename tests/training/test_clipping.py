"""The limit of the gradient follows the gradients of the training."""

import math

import pytest
import torch

from equipot.training.clipping import MEMORY, GradientClip


def gradient(norm: float) -> list[torch.Tensor]:
    """Two tensors with this total norm."""
    return [torch.tensor([0.6 * norm]), torch.tensor([[0.0, 0.8 * norm]])]


def norm_of(parts: list[torch.Tensor]) -> float:
    return math.sqrt(sum(float(p.square().sum()) for p in parts))


def after(clip: GradientClip, *norms: float) -> float:
    """Return what the clip makes of the last of these gradients."""
    for norm in norms:
        parts = gradient(norm)
        clip(parts)
    return norm_of(parts)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_a_long_gradient_is_scaled_to_the_geometric_mean_of_those_before(unit):
    assert after(GradientClip(1.0), 2 * unit, 8 * unit, 100 * unit) == pytest.approx(4 * unit)
    assert after(GradientClip(3.0), 2 * unit, 8 * unit, 100 * unit) == pytest.approx(12 * unit)


def test_shorter_gradients_and_the_first_one_stay():
    assert after(GradientClip(1.0), 100.0) == pytest.approx(100.0)
    assert after(GradientClip(2.0), 2.0, 8.0, 7.0) == pytest.approx(7.0)


def test_the_limit_forgets():
    early = [1e3] * 10
    assert after(GradientClip(1.0), *early, *([1.0] * 20 * MEMORY), 50.0) == pytest.approx(1.0, rel=1e-3)


def test_without_a_factor_nothing_is_scaled():
    assert after(GradientClip(0.0), 1.0, 1.0, 1e9) == pytest.approx(1e9)


@pytest.mark.parametrize("odd", [0.0, math.inf, math.nan])
def test_a_gradient_of_zeros_or_without_a_size_leaves_the_limit_alone(odd):
    clip = GradientClip(1.0)
    after(clip, 2.0, 8.0, odd)
    assert after(clip, 100.0) == pytest.approx(4.0)


def test_a_restored_clip_continues():
    clip, restored = GradientClip(1.0), GradientClip(1.0)
    after(clip, 1.0, 3.0, 7.0)
    restored.load(clip.state())
    assert after(restored, 9.0, 20.0) == after(clip, 9.0, 20.0)
