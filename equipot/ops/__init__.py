"""The convolution operator: gather, spherical harmonics, tensor product, radial weights, sum over neighbours."""

from equipot.ops.paths import ConvolutionPaths
from equipot.ops.reference import ReferenceConvolution
from equipot.ops.topology import Topology, topology

__all__ = ["ConvolutionPaths", "ReferenceConvolution", "Topology", "topology"]
