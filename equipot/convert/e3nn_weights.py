"""Where e3nn's linear maps and tensor products keep their weights: one flat array, and constants left out of it.

e3nn divides what a path adds by the square root of the number of channels that enter the output's block (path
normalisation `element`); the matrices given here have that in them.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from equipot.errors import ModelFileError
from equipot.irreps import Irrep, Irreps

Matrices = dict[Irrep, Tensor]


def linear(irreps_in: Irreps, irreps_out: Irreps, flat: Tensor) -> Matrices:
    """Matrices (mul_in, mul_out) of `e3nn.o3.Linear`: all blocks of an irrep joined, in order, on both sides."""
    return {ir: m[0] for ir, m in by_species(irreps_in, irreps_out, flat, 1).items()}


def by_species(irreps_in: Irreps, irreps_out: Irreps, flat: Tensor, n_species: int) -> Matrices:
    """Matrices (n_species, mul_in, mul_out) of a `FullyConnectedTensorProduct` with one-hot species."""
    pairs = list(_pairs(irreps_in, irreps_out))
    expected = n_species * sum(irreps_in[i].mul * irreps_out[k].mul for i, k in pairs)
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
    """Blocks of the same irrep, in the order of their weights."""
    for i, (_, ir_in) in enumerate(irreps_in):
        for k, (_, ir_out) in enumerate(irreps_out):
            if ir_in == ir_out:
                yield i, k


def _join(parts: dict[tuple[int, int], Tensor], irreps_in: Irreps, irreps_out: Irreps, ir: Irrep) -> Tensor:
    rows = [i for i, (_, found) in enumerate(irreps_in) if found == ir]
    columns = [k for k, (_, found) in enumerate(irreps_out) if found == ir]
    return torch.cat([torch.cat([parts[i, k] for k in columns], dim=2) for i in rows], dim=1)


def perceptron(weights: Sequence[Tensor]) -> list[Tensor]:
    """Matrices of `e3nn.nn.FullyConnectedNet`: each (n_in, n_out), divided by the square root of n_in."""
    return [w / math.sqrt(w.shape[0]) for w in weights]
