"""The neighbour search within a cutoff, for any periodicity, on the CPU or on a GPU.

A library only finds pairs in a box (`Pairs`). This module does all other steps where the positions are, with numpy on
the host and with torch on a device: it wraps atoms into the cell, makes a box along non-periodic directions, selects
the pairs within the cutoff and sorts them.
"""

import functools
import importlib.util
import warnings
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from equipot.neighbours.arrays import Array, beside, namespace, on_host
from equipot.neighbours.cell import complete, expect_searchable
from equipot.neighbours.pairs import Pairs, pairs_of_matscipy, pairs_of_nvalchemi

if TYPE_CHECKING:
    import torch


def neighbour_list(
    positions: np.ndarray,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    *,
    species: np.ndarray | None = None,
    pair_cutoffs: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find all pairs closer than the cutoff, periodic images included, in both directions.

    Args:
        positions: (n_atoms, 3) Å; atoms may lie outside the cell.
        cell: (3, 3) Å, rows are cell vectors; rows of non-periodic directions are not used and may be zero.
        pbc: (3,) bool.
        cutoff: Å; pairs with r < cutoff are found.
        species: (n_atoms,) int, needed with `pair_cutoffs`.
        pair_cutoffs: (n_types, n_types) Å, symmetric: shorter cutoffs for pairs of species.

    Returns:
        edge_index: (2, n_edges) int64, row 0 the centre i, row 1 the neighbour j; sorted by i, j and shift. An atom is
            a neighbour of its periodic images but never of itself.
        shifts: (n_edges, 3) int64, the number of cell vectors added to the neighbour.
        edge_vectors: (n_edges, 3) float64, Å, r_ij = r_j - r_i + shift·cell.

    Raises:
        DataError: positions or cell are not finite, or the periodic cell vectors are linearly dependent.
    """
    x = np.array(positions, dtype=np.float64).reshape(-1, 3)
    cell, pbc = np.array(cell, dtype=np.float64).reshape(3, 3), np.array(pbc, dtype=bool).reshape(3)
    edges = _search(x, cell, pbc, float(cutoff), species, pair_cutoffs, pairs_of_matscipy)
    return edges.edge_index, edges.shifts, edges.vectors


class Find(Protocol):
    """A search like `neighbour_list` for positions on the host or a device. It returns no vectors."""

    def __call__(
        self,
        positions: Array,
        cell: np.ndarray,
        pbc: np.ndarray,
        cutoff: float,
        species: np.ndarray | None = None,
        pair_cutoffs: np.ndarray | None = None,
    ) -> tuple[Array, Array]: ...


class Search(NamedTuple):
    """A search function and the name that is printed for it."""

    name: str
    find: Find


def search_for(device: "torch.device | None") -> Search:
    """Return the fastest search: nvalchemi-toolkit-ops for tensors on a GPU if it works there, else matscipy.

    device: of the positions; None: they are numpy arrays.
    """
    if device is not None and device.type == "cuda" and _nvalchemi_works(device):
        from importlib.metadata import version

        return Search(f"nvalchemi-toolkit-ops {version('nvalchemi-toolkit-ops')} on {device}", on_gpu)
    return Search("matscipy on the CPU", on_cpu)


def on_cpu(
    positions: Array,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    species: np.ndarray | None = None,
    pair_cutoffs: np.ndarray | None = None,
) -> tuple[Array, Array]:
    """Search with matscipy on the CPU, and copy positions and edges from and to the device."""
    edges = _search(on_host(positions), cell, pbc, cutoff, species, pair_cutoffs, pairs_of_matscipy)
    return beside(positions, edges.edge_index), beside(positions, edges.shifts)


def on_gpu(
    positions: "torch.Tensor",
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    species: np.ndarray | None = None,
    pair_cutoffs: np.ndarray | None = None,
) -> tuple[Array, Array]:
    """Search on the GPU, or with matscipy on the CPU if the library's table does not fit into the GPU's memory."""
    import torch

    arguments = (positions, cell, pbc, cutoff, species, pair_cutoffs)
    try:
        return on_device(*arguments)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return on_cpu(*arguments)


def on_device(
    positions: "torch.Tensor",
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    species: np.ndarray | None = None,
    pair_cutoffs: np.ndarray | None = None,
    pairs: Pairs | None = None,
) -> tuple[Array, Array]:
    """Search on the device of the positions, with nvalchemi-toolkit-ops or another function for `pairs`.

    The other arguments and the errors are those of `neighbour_list`.

    Returns:
        edge_index (2, n_edges) and shifts (n_edges, 3), int64.
    """
    edges = _search(positions, cell, pbc, cutoff, species, pair_cutoffs, pairs or pairs_of_nvalchemi)
    return edges.edge_index, edges.shifts


class _Edges(NamedTuple):
    edge_index: Array  # (2, n_edges) int64
    shifts: Array  # (n_edges, 3) int64
    vectors: Array  # (n_edges, 3) float64, Å


def _search(
    positions: Array,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    species: np.ndarray | None,
    pair_cutoffs: np.ndarray | None,
    pairs: Pairs,
) -> _Edges:
    xp, on = namespace(positions), functools.partial(beside, positions)
    expect_searchable(bool(xp.isfinite(positions).all()), cell, pbc, cutoff)
    n_atoms = len(positions)
    if n_atoms == 0:
        none = np.zeros((2, 0), dtype=np.int64)
        return _Edges(on(none), on(np.zeros((0, 3), dtype=np.int64)), on(np.zeros((0, 3))))

    basis = complete(cell, pbc)
    h = on(basis)
    wrapped = xp.floor(positions @ on(np.linalg.inv(basis))) * on(pbc.astype(np.float64))
    inside = positions - wrapped @ h
    boxed, box = _enclose(inside, basis, pbc, cutoff)
    # The search goes slightly further than the cutoff, so that only the strict, symmetric comparison below decides.
    i, j, shifts = pairs(boxed, box, on(pbc), cutoff * (1 + 1e-9))

    vectors = inside[j]
    vectors -= inside[i]
    vectors += xp.asarray(shifts, dtype=xp.float64) @ h
    limit: float | Array = cutoff
    if pair_cutoffs is not None:
        if species is None:
            raise ValueError("pair_cutoffs need species")
        types = on(np.asarray(species))
        limit = on(np.minimum(cutoff, pair_cutoffs))[types[i], types[j]]
    keep = (vectors**2).sum(1) < limit**2
    keep &= (i != j) | (shifts != 0).any(1)
    i, j, shifts, vectors = i[keep], j[keep], shifts[keep], vectors[keep]
    order = _order(i, j, shifts, n_atoms)
    i, j, shifts, vectors = i[order], j[order], shifts[order], vectors[order]
    # Shifts of wrapped atoms become shifts of the given atoms. All shifts of a pair change by one value, so the order
    # remains.
    shifts += xp.asarray(wrapped[i] - wrapped[j], dtype=xp.int64)
    return _Edges(xp.stack([i, j]), shifts, vectors)


def _enclose(inside: Array, basis: np.ndarray, pbc: np.ndarray, cutoff: float) -> tuple[Array, Array]:
    """Return positions with unchanged neighbours, and a box that holds them.

    Along a non-periodic direction, gaps longer than twice the cutoff are shortened to this length. No atom has a
    neighbour across them. Without this step, two atoms at a distance of a micrometre would need 10¹² linked cells.
    """
    xp = namespace(inside)
    box = beside(inside, basis.copy())
    boxed = inside
    for k in np.flatnonzero(~pbc):
        axis = beside(inside, basis[k])
        along = inside @ axis
        order = xp.argsort(along)
        ascending = along[order]
        excess = xp.zeros_like(ascending)
        excess[1:] = xp.cumsum(xp.clip(ascending[1:] - ascending[:-1] - 2 * cutoff, 0.0, None), 0)
        moved = xp.empty_like(along)
        moved[order] = ascending - excess
        moved -= moved.min()
        # A margin of half a cutoff on both sides keeps the atoms away from the faces of the box.
        boxed = boxed + xp.outer(moved - along + 0.5 * cutoff, axis)
        box[k] = axis * (moved.max() + cutoff)
    return boxed, box


def _order(i: Array, j: Array, shifts: Array, n_atoms: int) -> Array:
    """Return the permutation that sorts pairs by centre, neighbour and shift."""
    if len(i) == 0:
        return i
    xp = namespace(i)
    lowest = xp.amin(shifts, 0)
    spans = (xp.amax(shifts, 0) - lowest + 1).tolist()
    key = i * n_atoms + j
    for k in range(3):
        key = key * spans[k] + (shifts[:, k] - lowest[k])
    return xp.argsort(key)


@functools.cache
def _nvalchemi_works(device: "torch.device") -> bool:
    """Return whether nvalchemi-toolkit-ops finds the neighbours of two atoms. The first call compiles its kernels."""
    if importlib.util.find_spec("nvalchemiops") is None:
        return False
    import torch

    try:
        two = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64, device=device)
        edge_index, _ = on_device(two, np.zeros((3, 3)), np.zeros(3, dtype=bool), 1.5)
        works, reason = edge_index.tolist() == [[0, 1], [1, 0]], "it finds wrong neighbours"
    except Exception as error:  # another version of the library or a driver may raise any error
        works, reason = False, f"{type(error).__name__}: {error}"
    if not works:
        warnings.warn(
            f"nvalchemi-toolkit-ops does not work on {device} ({reason}); neighbours are searched on the CPU",
            RuntimeWarning,
            stacklevel=2,
        )
    return works
