"""On how many MPI ranks a test runs: few in `make test`, all of them in `make test-all`."""

from collections.abc import Collection

import pytest

exhaustive = pytest.mark.exhaustive


def on_ranks(*counts: int, quick: Collection[int] = (1, 2)) -> pytest.MarkDecorator:
    """Run a test with each of these values of `ranks`; those that are not in `quick` in `make test-all` alone."""
    return pytest.mark.parametrize("ranks", rank_counts(*counts, quick=quick))


def rank_counts(*counts: int, quick: Collection[int] = (1, 2)) -> list:
    """The parameters of `on_ranks`, for a fixture."""
    return [n if n in quick else pytest.param(n, marks=exhaustive) for n in counts]
