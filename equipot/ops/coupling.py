"""Clebsch-Gordan coefficients, from e3nn."""

import torch
from torch import Tensor


def wigner_3j(l1: int, l2: int, l3: int) -> Tensor:
    """Return e3nn's coefficients of norm 1, (2 l1 + 1, 2 l2 + 1, 2 l3 + 1) float64, with its signs and axes."""
    from e3nn import o3  # slow to import (more than a second), and models from files do not need it

    return o3.wigner_3j(l1, l2, l3, dtype=torch.float64)
