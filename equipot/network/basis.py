"""The radial basis at the spline knots, with its derivatives, in float64. u is distance over cutoff."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Factor of the input of the radial networks. In trainings on silicon the loss jumped now and then by factors of 1000
# with a factor of 1, and energies converged several times slower with 0.1. 0.3 showed neither.
SCALE = 0.3

# Value, first and second derivative with respect to u.
Jet = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def bessel(u: NDArray[np.float64], frequencies: ArrayLike) -> Jet:
    """Return sin(f u)/u (Gasteiger et al., DimeNet, eq. 7, without its constant); shapes (n_knots, n)."""
    a = np.asarray(frequencies, dtype=np.float64)
    u = u[:, None]
    x = a * u
    # The quotients lose all digits as u -> 0. A series replaces them for small x; its first neglected term is x^6.
    near = x < 1e-2
    safe = np.where(u > 0, u, 1.0)
    s, c = np.sin(x), np.cos(x)
    value = np.where(near, a * (1 - x**2 / 6 + x**4 / 120), s / safe)
    first = np.where(near, a**2 * (-x / 3 + x**3 / 30 - x**5 / 840), (a * c - s / safe) / safe)
    second = np.where(
        near,
        a**3 * (-1 / 3 + x**2 / 10 - x**4 / 168),
        (-(a**2) * s - 2 * (a * c - s / safe) / safe) / safe,
    )
    return value, first, second


def polynomial_envelope(u: NDArray[np.float64], p: int) -> Jet:
    """Return the envelope of DimeNet, eq. 8: 1 at u = 0; value, first and second derivative are 0 at u = 1."""
    powers = np.array([p, p + 1, p + 2])
    factors = np.array([-(p + 1) * (p + 2) / 2, p * (p + 2), -p * (p + 1) / 2])
    u = u[:, None]
    value = 1 + (factors * u**powers).sum(1)
    first = (factors * powers * u ** (powers - 1)).sum(1)
    second = (factors * powers * (powers - 1) * u ** (powers - 2)).sum(1)
    return value, first, second


def xplor_envelope(u: NDArray[np.float64], onset: float) -> Jet:
    """Return the X-PLOR switching function: 1 up to `onset`, then a smooth fall to 0 at u = 1; C1."""
    a, b = onset**2, (1 - onset**2) ** 3
    s = u**2
    value = (1 - s) ** 2 * (1 + 2 * s - 3 * a) / b
    by_s = 6 * (1 - s) * (a - s) / b  # derivative by s; the chain rule with ds/du = 2u gives those by u below
    by_ss = 6 * (2 * s - 1 - a) / b
    inside = u < onset
    return (
        np.where(inside, 1.0, value),
        np.where(inside, 0.0, by_s * 2 * u),
        np.where(inside, 0.0, by_ss * 4 * s + 2 * by_s),
    )


def harmonic_frequencies(n: int) -> list[float]:
    """Return kπ for k = 1 … n: the frequencies of Bessel functions that are zero at the cutoff."""
    return [np.pi * k for k in range(1, n + 1)]


def knots(n: int, doubled: int = 0) -> NDArray[np.float64]:
    """Return n uniform knots on [0, 1]; the knot with index `doubled` comes twice, unless that is 0."""
    u = np.linspace(0.0, 1.0, n)
    return np.insert(u, doubled, u[doubled]) if doubled else u


def stretched(u: NDArray[np.float64], k: float) -> Jet:
    """Map [0, 1] onto itself by (1 - exp(-k u))/(1 - exp(-k)), which is steeper for small u; k = 0 keeps u."""
    if k == 0:
        return u, np.ones_like(u), np.zeros_like(u)
    value = np.expm1(-k * u) / np.expm1(-k)
    first = -k * np.exp(-k * u) / np.expm1(-k)
    return value, first, -k * first


def radial_basis(
    u: NDArray[np.float64],
    frequencies: Sequence[float],
    envelope: Literal["polynomial", "xplor"],
    p: int,
    onset: float,
    stretch: float = 0.0,
) -> NDArray[np.float64]:
    """Return Bessel functions of `stretched` distances times the envelope: (3, n_knots, n_frequencies).

    A knot that comes twice is the onset of xplor. Its first row holds the derivatives on its left side, its second
    row the derivatives on its right side.
    """
    t0, t1, t2 = stretched(u, stretch)
    b0, b1, b2 = bessel(t0, frequencies)
    b1, b2 = b1 * t1[:, None], b2 * t1[:, None] ** 2 + b1 * t2[:, None]
    e = polynomial_envelope(u, p) if envelope == "polynomial" else xplor_envelope(u, onset)
    (doubled,) = np.nonzero(np.diff(u) == 0)
    for k in doubled:
        sides = xplor_envelope(np.array([np.nextafter(onset, 0), onset]), onset)
        for derivative, left_and_right in zip(e, sides):
            derivative[k : k + 2] = left_and_right
    e0, e1, e2 = (x[:, None] for x in e)
    jet = SCALE * np.stack([b0 * e0, b1 * e0 + b0 * e1, b2 * e0 + 2 * b1 * e1 + b0 * e2])
    jet[:2, -1] = 0.0  # exactly zero at the cutoff, where sin(kπ) is off by rounding
    return jet


def distance_powers(u: NDArray[np.float64], cutoff: float, orders: Sequence[int]) -> NDArray[np.float64]:
    """Return r^l at knots u for every l of `orders`, and its derivatives by u: (3, n_knots, len(orders))."""
    u = u[:, None]
    l = np.array(orders)[None, :]
    scale = float(cutoff) ** l
    first = np.where(l > 0, l * u ** np.maximum(l - 1, 0), 0.0)
    second = np.where(l > 1, l * (l - 1) * u ** np.maximum(l - 2, 0), 0.0)
    return np.stack([scale * u**l, scale * first, scale * second])
