"""Edges within the cutoff and sums of their gradients, by the compiled library."""

import ctypes
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from equipot.native.library import call, expect, function

_N, _P = ctypes.c_int64, ctypes.c_void_p
Reals: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]


def near(
    positions: Reals, edge_index: Integers, shifts: Reals, cell: Reals, limit_squared: Reals
) -> tuple[Integers, Reals]:
    """Return the edges with |r_ij|² < limit_squared, and their vectors r_ij = r_j - r_i + shifts · cell.

    positions (n_atoms, 3), shifts (n_edges, 3), cell (3, 3), limit_squared (1,) or (n_edges,): float64.
    """
    n_edges, n_atoms = edge_index.shape[1], len(positions)
    expect(edge_index.dtype == np.int64, f"edge_index is {edge_index.dtype}; expected int64")
    reals = [np.ascontiguousarray(a) for a in (positions, shifts, cell, limit_squared)]
    expect(all(a.dtype == np.float64 for a in reals), "positions, shifts, cell or limits are not float64")
    shapes = [a.shape for a in reals[:3]]
    expect(shapes == [(n_atoms, 3), (n_edges, 3), (3, 3)], f"positions, shifts and cell have shapes {shapes}")
    expect(reals[3].size in (1, n_edges), "limits are neither one number nor one per edge")
    edges, out = np.ascontiguousarray(edge_index), np.empty((2, n_edges), dtype=np.int64)
    vectors = np.empty((n_edges, 3))
    x, s, c, limits = (a.ctypes.data for a in reals)
    kernel = function("near", (_N, _N, *[_P] * 6, _N, *[_P] * 3), _N)
    rows = (a.ctypes.data + 8 * k * n_edges for a in (edges, out) for k in range(2))
    centre, neighbour, *found = rows
    n_near = call(
        "neighbours",
        kernel,
        n_edges,
        n_atoms,
        x,
        centre,
        neighbour,
        s,
        c,
        limits,
        int(reals[3].size != 1),
        *found,
        vectors.ctypes.data,
    )
    return out[:, :n_near], vectors[:n_near]


def collect(
    edge_gradient: Reals,
    edge_vectors: Reals,
    edge_index: Integers,
    graph_of_atom: Integers | None,
    n_atoms: int,
    n_graphs: int = 1,
) -> tuple[Reals, Reals]:
    """Return forces (n_atoms, 3) and symmetric virials (n_graphs, 3, 3) from dE/dr_ij; float64, see `derivatives`.

    graph_of_atom: (n_atoms,), or None for one graph.
    """
    reals = [np.ascontiguousarray(a) for a in (edge_vectors, edge_gradient)]
    edges, n_edges = np.ascontiguousarray(edge_index), edge_index.shape[1]
    expect(all(a.dtype == np.float64 for a in reals), "edge vectors or gradients are not float64")
    expect(all(a.shape == (n_edges, 3) for a in reals), "edge vectors or gradients are not (n_edges, 3)")
    graphs = 0
    if graph_of_atom is not None:
        graph_of_atom = np.ascontiguousarray(graph_of_atom)
        expect(graph_of_atom.shape == (n_atoms,), "there is not one graph for each atom")
        graphs = graph_of_atom.ctypes.data
    indices = (edges,) if graph_of_atom is None else (edges, graph_of_atom)
    expect(all(a.dtype == np.int64 for a in indices), "indices are not int64")
    forces, virial = np.empty((n_atoms, 3)), np.empty((n_graphs, 3, 3))
    start = edges.ctypes.data
    pointers = (start, start + 8 * n_edges, graphs, *(a.ctypes.data for a in (*reals, forces, virial)))
    call("forces", function("collect", (*[_N] * 3, *[_P] * 7)), n_edges, n_atoms, n_graphs, *pointers)
    return forces, virial
