"""Matrices from the weights of e3nn's linear maps and tensor products, which are one flat array.

e3nn divides the contribution of a path by the square root of the number of channels that enter the block of the output
(path normalisation `element`). The matrices returned here contain this factor.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from equipot.errors import ModelFileError
from equipot.irreps import Irrep, Irreps

Matrices = dict[Irrep, Tensor]


def linear(irreps_in: Irreps, irreps_out: Irreps, flat: Tensor) -> Matrices:
    """Return matrices (mul_in, mul_out) of `e3nn.o3.Linear`, with all blocks of an irrep joined in order."""
    return {ir: m[0] for ir, m in by_species(irreps_in, irreps_out, flat, 1).items()}


def by_species(irreps_in: Irreps, irreps_out: Irreps, flat: Tensor, n_species: int) -> Matrices:
    """Return matrices (n_species, mul_in, mul_out) of a `FullyConnectedTensorProduct` with one-hot species."""
    pairs = list(_pairs(irreps_in, irreps_out))
    expected = n_species * sum(irreps_in[i].mul * irreps_out[k].mul for i, k in pairs)
    flat = flat.flatten()  # cuEquivariance stores the same numbers as one row
    if flat.numel() != expected:
        raise ModelFileError(
            f"a linear map from {irreps_in} to {irreps_out} has {flat.numel()} weights; expected {expected}"
        )
    parts: dict[tuple[int, int], Tensor] = {}
    start = 0
    for i, k in pairs:
        shape = (irreps_in[i].mul, n_species, irreps_out[k].mul)
        size = math.prod(shape)
        fan_in = n_species * sum(irreps_in[other].mul for other, out in pairs if out == k)
        parts[i, k] = flat[start : start + size].reshape(shape).transpose(0, 1) / math.sqrt(fan_in)
        start += size
    return {ir: _join(parts, irreps_in, irreps_out, ir) for ir in {irreps_out[k].ir for _, k in pairs}}


def _pairs(irreps_in: Irreps, irreps_out: Irreps) -> Iterator[tuple[int, int]]:
    """Yield pairs of input and output blocks with the same irrep, in the order of their weights."""
    for i, (_, ir_in) in enumerate(irreps_in):
        for k, (_, ir_out) in enumerate(irreps_out):
            if ir_in == ir_out:
                yield i, k


def _join(parts: dict[tuple[int, int], Tensor], irreps_in: Irreps, irreps_out: Irreps, ir: Irrep) -> Tensor:
    rows = [i for i, (_, own) in enumerate(irreps_in) if own == ir]
    columns = [k for k, (_, own) in enumerate(irreps_out) if own == ir]
    return torch.cat([torch.cat([parts[i, k] for k in columns], dim=2) for i in rows], dim=1)


def perceptron(weights: Sequence[Tensor]) -> list[Tensor]:
    """Return the matrices of `e3nn.nn.FullyConnectedNet`: (n_in, n_out), divided by the square root of n_in."""
    return [w / math.sqrt(w.shape[0]) for w in weights]
