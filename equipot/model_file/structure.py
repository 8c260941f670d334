"""Plain values around a model file: a structure and its results as arrays, and the sizes of the network."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from equipot.neighbours.arrays import Array

Reals: TypeAlias = NDArray[np.float64]


class Structure(NamedTuple):
    """A structure with its edges, which may be arrays of numpy or tensors on the device of the model."""

    species: NDArray[np.int64]  # (n_atoms,), index into the model's type names
    edge_index: Array  # (2, n_edges) int64, row 0 the centre, ascending; row 1 the neighbour
    edge_vectors: Array  # (n_edges, 3) float64, Å, r_ij = r_j - r_i + shift·cell
    positions: Reals  # (n_atoms, 3) Å
    cell: Reals  # (3, 3) Å, rows are the cell vectors
    pbc: NDArray[np.bool_]  # (3,)


class Derivatives(NamedTuple):
    """The derivatives of the energy of a structure."""

    forces: Reals  # (n_atoms, 3) eV/Å
    virial: Reals  # (3, 3) eV
    edge_gradient: Reals  # (n_edges, 3) eV/Å, dE/dr_ij


class Results(NamedTuple):
    """The results of a structure."""

    outputs: dict[str, NDArray[Any]]  # all outputs of the network; `quantities.ENERGIES` is always present
    derivatives: Derivatives | None = None


class PredictedErrors(NamedTuple):
    """Standard deviations that a model expects of its own errors, see docs/uncertainty.md."""

    energy: float  # eV, of the total energy
    forces: Reals  # (n_atoms,) eV/Å, of the length of the error


class Sizes(NamedTuple):
    """The sizes of a network."""

    parameters: int  # without those of radial networks, which tables replace
    table_numbers: int  # in radial tables
