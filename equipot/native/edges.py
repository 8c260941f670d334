"""Edges within the cutoff, their search, and sums of their gradients, by the compiled library."""

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


def search(
    first_atom: Integers,
    positions: Reals,
    cells: Reals,
    inverses: Reals,
    pbc: Integers,
    species: Integers,
    cutoffs: Reals,
    capacity: int,
) -> tuple[Integers, Reals, Integers]:
    """Return edge_index (2, n_edges), edge vectors (n_edges, 3), and the numbers of edges (n_graphs,) of small graphs.

    The time grows with the square of the number of atoms of a graph.

    Args:
        first_atom: (n_graphs + 1,), from 0 to n_atoms.
        positions: (n_atoms, 3) Å, finite, wrapped or not.
        cells: (n_graphs, 3, 3) Å, linearly independent vectors in rows; those of directions that are not periodic are
            unit vectors perpendicular to all others.
        inverses: of the cells.
        pbc: (n_graphs, 3) 0 or 1, int64.
        species: (n_atoms,) index into the cutoffs.
        cutoffs: (n_species, n_species) Å.
        capacity: a likely number of edges; with more, the search is repeated.
    """
    n_graphs, n_atoms = len(first_atom) - 1, len(positions)
    integers = [np.ascontiguousarray(a) for a in (first_atom, pbc, species)]
    reals = [np.ascontiguousarray(a) for a in (positions, cells, inverses, cutoffs)]
    expect(all(a.dtype == np.int64 for a in integers), "first_atom, pbc or species are not int64")
    expect(all(a.dtype == np.float64 for a in reals), "positions, cells or cutoffs are not float64")
    expect(int(first_atom[-1]) == n_atoms, f"first_atom ends at {first_atom[-1]}; expected {n_atoms}")
    shapes = [a.shape for a in (*integers[1:], *reals[:3])]
    three = (n_graphs, 3, 3)
    expect(shapes == [(n_graphs, 3), (n_atoms,), (n_atoms, 3), three, three], f"arrays have shapes {shapes}")
    inside = n_atoms == 0 or 0 <= int(species.min()) <= int(species.max()) < len(cutoffs)
    expect(inside, "an atom has a species without cutoffs")
    n_edges = np.empty(n_graphs, dtype=np.int64)
    kernel = function("search", (_N, *[_P] * 6, _N, _P, _N, *[_P] * 4), _N)
    f, p, s, x, c, i, r = (a.ctypes.data for a in (*integers, *reals))
    while True:
        rows, vectors = np.empty((2, capacity), dtype=np.int64), np.empty((capacity, 3))
        out = (*(row.ctypes.data for row in rows), vectors.ctypes.data, n_edges.ctypes.data)
        n = call("neighbours", kernel, n_graphs, f, x, c, i, p, s, len(cutoffs), r, capacity, *out)
        if n <= capacity:
            return rows[:, :n], vectors[:n], n_edges
        capacity = n


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
