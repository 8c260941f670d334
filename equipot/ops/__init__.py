"""The convolution operator: gather, spherical harmonics, tensor product, radial weights, sum over neighbours."""

from equipot.ops.convolution import Convolution
from equipot.ops.paths import ConvolutionPaths
from equipot.ops.reference import ReferenceConvolution
from equipot.ops.topology import Topology, topology

__all__ = ["Convolution", "ConvolutionPaths", "ReferenceConvolution", "Topology", "topology"]
