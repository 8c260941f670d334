"""The compiled kernels (csrc/), called through their C header. Without them the reference operators serve."""

from equipot.ops.engine.convolution import Convolution, output_columns
from equipot.ops.engine.graph import collect, near, topology
from equipot.ops.engine.library import available, isa, keep_memory, peak_gfma
from equipot.ops.engine.nodes import Gating, LinearMap

__all__ = [
    "Convolution",
    "Gating",
    "LinearMap",
    "available",
    "collect",
    "isa",
    "keep_memory",
    "near",
    "output_columns",
    "peak_gfma",
    "topology",
]
