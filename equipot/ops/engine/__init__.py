"""The compiled kernels (csrc/), called through their C header. Without them, the reference operators are used."""

from torch import Tensor

from equipot.native import available
from equipot.ops.engine import cuda
from equipot.ops.engine.convolution import Convolution, output_columns
from equipot.ops.engine.graph import Sorting
from equipot.ops.engine.nodes import Gating, LinearMap

__all__ = [
    "Convolution",
    "Gating",
    "LinearMap",
    "Sorting",
    "available",
    "convolution_of",
    "cuda",
    "gating_of",
    "output_columns",
    "serves",
    "sorting_of",
]


def serves(tensor: Tensor) -> bool:
    """Return whether compiled kernels exist for the tensor's device."""
    return cuda.available(tensor.device.index) if tensor.is_cuda else available()


def convolution_of(x: Tensor) -> type[Convolution]:
    """Return the class whose kernels run on the device of x."""
    return cuda.Convolution if x.is_cuda else Convolution


def gating_of(x: Tensor) -> type[Gating]:
    """Return the class whose kernels run on the device of x."""
    return cuda.Gating if x.is_cuda else Gating


def sorting_of(edge_index: Tensor) -> type[Sorting]:
    """Return the class whose kernels run on the device of the edges."""
    return cuda.Sorting if edge_index.is_cuda else Sorting
