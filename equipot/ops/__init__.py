"""The operators of the network: convolution, linear maps, gate, and the sorted edges that they need."""

from equipot.ops.convolution import Convolution
from equipot.ops.paths import ConvolutionPaths
from equipot.ops.reference import ReferenceConvolution
from equipot.ops.topology import Topology, topology

__all__ = ["Convolution", "ConvolutionPaths", "ReferenceConvolution", "Topology", "topology"]
