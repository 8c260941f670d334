"""equipot: equivariant interatomic potentials from DFT labels to molecular dynamics."""

__version__ = "0.1.0"
