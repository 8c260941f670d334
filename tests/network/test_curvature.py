"""The curvature of radial functions against that of functions with known second derivatives."""

import numpy as np
import pytest
import torch

from equipot.network.basis import knots
from equipot.network.radial import RadialNetwork
from tests.models import make_potential


def radial(n_knots: int = 128) -> RadialNetwork:
    return RadialNetwork(np.zeros((3, n_knots, 2)), [], [slice(0, 1)], order=2)


def table(*functions) -> torch.Tensor:
    """Return a table of pairs (function, slope)."""
    u = knots(128)
    return torch.stack(
        [torch.from_numpy(np.stack([f(u), slope(u)], axis=1)) for f, slope in functions], dim=2
    )


def test_it_is_the_mean_square_of_the_second_derivative_over_that_of_the_function():
    k = 6.0
    wave = (lambda u: np.sin(k * u), lambda u: k * np.cos(k * u))
    found = radial().curvature(table(wave))
    assert float(found) == pytest.approx(k**4, rel=0.01)
    # It does not depend on the scale of the function.
    larger = (lambda u: 50 * np.sin(k * u), lambda u: 50 * k * np.cos(k * u))
    assert float(radial().curvature(table(larger))) == pytest.approx(float(found), rel=1e-9)


def test_straight_lines_have_none_and_short_distances_do_not_count():
    line = (lambda u: 1 - u, lambda u: -np.ones_like(u))
    assert float(radial().curvature(table(line))) == pytest.approx(0, abs=1e-12)
    bump = (
        lambda u: np.where(u < 0.2, (0.2 - u) ** 3, 0) + 1,
        lambda u: np.where(u < 0.2, -3 * (0.2 - u) ** 2, 0),
    )
    assert float(radial().curvature(table(bump))) == pytest.approx(36 * 0.2**3 / 3, rel=0.02)
    assert float(radial().curvature(table(bump), from_u=0.25)) == pytest.approx(0, abs=1e-12)


def test_a_network_tells_its_own_curvature():
    layer = make_potential(seed=1).layers[0].radial
    found = layer.curvature(layer())
    slopes = layer().detach()[:, 1]
    h = 1 / 127
    expected = ((slopes.diff(dim=0) / h) ** 2).mean() / layer().detach()[1:, 0].square().mean()
    assert float(found.detach()) == pytest.approx(float(expected), rel=1e-9)
