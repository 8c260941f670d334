"""Clebsch-Gordan coefficients, from e3nn."""

import torch
from torch import Tensor


def wigner_3j(l1: int, l2: int, l3: int) -> Tensor:
    """(2 l1 + 1, 2 l2 + 1, 2 l3 + 1) float64, of norm 1; signs and axes as in e3nn, whose conventions models keep."""
    from e3nn import o3  # takes more than a second, and a model file needs no coefficients

    return o3.wigner_3j(l1, l2, l3, dtype=torch.float64)
