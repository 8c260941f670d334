"""Real spherical harmonics as polynomials of the unit vector, in e3nn's axes, order and `component` norm.

Y_l has 2l + 1 components, whose squares sum to 2l + 1. Each is a homogeneous polynomial of degree l, so Y_l is the
vector of monomials times a constant matrix. The matrix is built once, in float64, by coupling Y_{l-1} with Y_1
(Clebsch-Gordan coefficients from e3nn; Varshalovich et al., Quantum Theory of Angular Momentum, 5.6).
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from equipot.ops.coupling import wigner_3j


@lru_cache
def _exponents(degree: int) -> list[tuple[int, int, int]]:
    """Return the exponents (a, b, c) of x^a y^b z^c, a + b + c = degree, in the order of `SphericalHarmonics`."""
    if degree == 0:
        return [(0, 0, 0)]
    lower = _exponents(degree - 1)
    # x times every lower monomial, y times the lower monomials without x, and z^degree: each monomial once.
    return (
        [(a + 1, b, c) for a, b, c in lower]
        + [(0, b + 1, c) for a, b, c in lower if a == 0]
        + [(0, 0, degree)]
    )


@lru_cache
def coefficients(l: int) -> np.ndarray:
    """Return the matrix from monomials of degree l to Y_l, ((l + 1)(l + 2) / 2, 2l + 1)."""
    if l == 0:
        return np.ones((1, 1))
    if l == 1:
        return math.sqrt(3.0) * np.eye(3)
    index = {e: i for i, e in enumerate(_exponents(l))}
    lower, one = coefficients(l - 1), coefficients(1)
    coupling = wigner_3j(l - 1, 1, l).numpy()
    matrix = np.zeros((len(index), 2 * l + 1))
    for i, (a, b, c) in enumerate(_exponents(l - 1)):
        for j, (d, e, f) in enumerate(_exponents(1)):
            matrix[index[a + d, b + e, c + f]] += np.einsum("u,v,uvw->w", lower[i], one[j], coupling)
    pole = matrix[index[0, l, 0]]  # value at (0, 1, 0), e3nn's polar axis: +sqrt(2l + 1) at m = 0
    return matrix * (math.sqrt(2 * l + 1) / pole[l])


class SphericalHarmonics(nn.Module):
    """The map from unit vectors (n_edges, 3) to Y_0 … Y_l_max side by side, (n_edges, (l_max + 1)²)."""

    matrix: Tensor

    def __init__(self, l_max: int) -> None:
        super().__init__()
        self.l_max = l_max
        blocks = [coefficients(l) for l in range(l_max + 1)]
        matrix = np.zeros((sum(b.shape[0] for b in blocks), (l_max + 1) ** 2))
        row = 0
        for l, block in enumerate(blocks):
            matrix[row : row + block.shape[0], l * l : (l + 1) ** 2] = block
            row += block.shape[0]
        self.register_buffer("matrix", torch.from_numpy(matrix), persistent=False)

    def forward(self, unit: Tensor) -> Tensor:
        x, y, z = unit[:, 0:1], unit[:, 1:2], unit[:, 2:3]
        degree = torch.ones_like(x)
        z_power = torch.ones_like(z)
        monomials = [degree]
        for l in range(self.l_max):
            # The last l + 1 monomials of degree l are those without x.
            z_power = z_power * z
            degree = torch.cat([x * degree, y * degree[:, degree.shape[1] - l - 1 :], z_power], dim=1)
            monomials.append(degree)
        return torch.cat(monomials, dim=1) @ self.matrix
