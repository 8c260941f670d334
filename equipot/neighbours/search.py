"""Neighbours within a cutoff, for any periodicity, on the CPU or on a GPU.

A library is asked only for pairs in a box (`Pairs`). Which atoms lie in the cell, what a direction without periodicity
means, which pairs count, and in which order: that is decided here, in torch, on the device of the positions.
"""

import functools
import importlib.util
import warnings
from importlib.metadata import version
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from equipot.neighbours.cell import complete, expect_searchable
from equipot.neighbours.pairs import Pairs, pairs_of_matscipy, pairs_of_nvalchemi


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
        positions: (n_atoms, 3), Å; atoms may lie outside the cell
        cell: (3, 3), Å, rows are cell vectors; rows of non-periodic directions are not used and may be zero
        pbc: (3,) bool
        cutoff: Å; pairs with r < cutoff, strictly
        species, pair_cutoffs: (n_atoms,) int and (n_types, n_types) Å, symmetric: shorter cutoffs of some pairs

    Returns:
        edge_index: (2, n_edges) int64, row 0 the centre i, row 1 the neighbour j; sorted by i, j, shift
        shifts: (n_edges, 3) int64, the number of cell vectors added to the neighbour
        edge_vectors: (n_edges, 3) float64, Å, r_ij = r_j - r_i + shift·cell

    An atom is a neighbour of its own images but never of itself. Raises DataError when positions or cell are
    not finite, or when the periodic cell vectors are linearly dependent.
    """
    x = torch.from_numpy(np.array(positions, dtype=np.float64).reshape(-1, 3))
    cell, pbc = np.array(cell, dtype=np.float64).reshape(3, 3), np.array(pbc, dtype=bool).reshape(3)
    edges = _search(x, cell, pbc, float(cutoff), species, pair_cutoffs, pairs_of_matscipy)
    return edges.edge_index.numpy(), edges.shifts.numpy(), edges.vectors.numpy()


class Find(Protocol):
    """`neighbour_list` for positions on any device, without the vectors."""

    def __call__(
        self,
        positions: Tensor,
        cell: np.ndarray,
        pbc: np.ndarray,
        cutoff: float,
        species: np.ndarray | None = None,
        pair_cutoffs: np.ndarray | None = None,
    ) -> tuple[Tensor, Tensor]: ...


class Search(NamedTuple):
    """A way to search, with the name that a user reads."""

    name: str
    find: Find


def search_for(device: torch.device) -> Search:
    """Return the fastest search for a device: nvalchemi-toolkit-ops on a GPU where it works, otherwise matscipy."""
    if device.type == "cuda" and _nvalchemi_works(device):
        return Search(f"nvalchemi-toolkit-ops {version('nvalchemi-toolkit-ops')} on {device}", on_gpu)
    return Search("matscipy on the CPU", on_cpu)


def on_cpu(
    positions: Tensor,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    species: np.ndarray | None = None,
    pair_cutoffs: np.ndarray | None = None,
) -> tuple[Tensor, Tensor]:
    """Search with matscipy; positions and edges travel between the device and the CPU."""
    edges = _search(positions.cpu(), cell, pbc, cutoff, species, pair_cutoffs, pairs_of_matscipy)
    return edges.edge_index.to(positions.device), edges.shifts.to(positions.device)


def on_gpu(
    positions: Tensor,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    species: np.ndarray | None = None,
    pair_cutoffs: np.ndarray | None = None,
) -> tuple[Tensor, Tensor]:
    """Search on the GPU; with matscipy where the library's table does not fit into the memory that is left there."""
    arguments = (positions, cell, pbc, cutoff, species, pair_cutoffs)
    try:
        return on_device(*arguments)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return on_cpu(*arguments)


def on_device(
    positions: Tensor,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    species: np.ndarray | None = None,
    pair_cutoffs: np.ndarray | None = None,
    pairs: Pairs | None = None,
) -> tuple[Tensor, Tensor]:
    """Search on the device of the positions, with nvalchemi-toolkit-ops or other `pairs`.

    Parameters and errors as in `neighbour_list`. Returns edge_index (2, n_edges) and shifts (n_edges, 3), int64.
    """
    edges = _search(positions, cell, pbc, cutoff, species, pair_cutoffs, pairs or pairs_of_nvalchemi)
    return edges.edge_index, edges.shifts


class _Edges(NamedTuple):
    edge_index: Tensor  # (2, n_edges) int64
    shifts: Tensor  # (n_edges, 3) int64
    vectors: Tensor  # (n_edges, 3) float64, Å


def _search(
    positions: Tensor,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    species: np.ndarray | None,
    pair_cutoffs: np.ndarray | None,
    pairs: Pairs,
) -> _Edges:
    expect_searchable(bool(torch.isfinite(positions).all()), cell, pbc, cutoff)
    n_atoms, device = len(positions), positions.device
    if n_atoms == 0:
        none = torch.zeros(2, 0, dtype=torch.int64, device=device)
        return _Edges(none, none.new_zeros(0, 3), positions.new_zeros(0, 3))

    def on(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    basis = complete(cell, pbc)
    h = on(basis)
    wrapped = torch.floor(positions @ on(np.linalg.inv(basis))) * on(pbc.astype(np.float64))
    inside = positions - wrapped @ h
    boxed, box = _enclose(inside, basis, pbc, cutoff)
    # A slightly larger search, so that the strict comparison below decides in one place and symmetrically.
    i, j, shifts = pairs(boxed, box, on(pbc), cutoff * (1 + 1e-9))

    vectors = inside.index_select(0, j)
    vectors -= inside.index_select(0, i)
    vectors += shifts.to(torch.float64) @ h
    limit: float | Tensor = cutoff
    if pair_cutoffs is not None:
        if species is None:
            raise ValueError("pair_cutoffs need species")
        types = on(np.asarray(species))
        limit = on(np.minimum(cutoff, pair_cutoffs))[types[i], types[j]]
    keep = vectors.square().sum(1) < limit**2
    keep &= (i != j) | shifts.any(dim=1)
    i, j, shifts, vectors = i[keep], j[keep], shifts[keep], vectors[keep]
    order = _order(i, j, shifts, n_atoms)
    i, j, shifts, vectors = i[order], j[order], shifts[order], vectors[order]
    # From wrapped atoms back to the atoms as given; of one pair of atoms all shifts change alike, so the order stays.
    shifts += (wrapped[i] - wrapped[j]).to(torch.int64)
    return _Edges(torch.stack([i, j]), shifts, vectors)


def _enclose(inside: Tensor, basis: np.ndarray, pbc: np.ndarray, cutoff: float) -> tuple[Tensor, Tensor]:
    """Positions and a box that holds them, with the same neighbours.

    Along a non-periodic direction, empty stretches longer than the cutoff are shortened: no atom has a
    neighbour across them, and two atoms a micrometre apart would otherwise ask for 10¹² linked cells.
    """
    box = torch.from_numpy(basis.copy()).to(inside.device)
    boxed = inside
    for k in np.flatnonzero(~pbc):
        axis = torch.from_numpy(basis[k]).to(inside.device)
        along = inside @ axis
        ascending, order = torch.sort(along)
        excess = (ascending.diff(prepend=ascending[:1]) - 2 * cutoff).clamp_(min=0.0).cumsum(0)
        moved = torch.empty_like(along)
        moved[order] = ascending - excess
        moved -= moved.min()
        # Half a cutoff of room on both sides keeps atoms off the box's faces.
        boxed = boxed + torch.outer(moved - along + 0.5 * cutoff, axis)
        box[k] = axis * (moved.max() + cutoff)
    return boxed, box


def _order(i: Tensor, j: Tensor, shifts: Tensor, n_atoms: int) -> Tensor:
    """The permutation that sorts pairs by centre, neighbour and shift."""
    if len(i) == 0:
        return i
    lowest = shifts.amin(0)
    spans = (shifts.amax(0) - lowest + 1).tolist()
    key = i * n_atoms + j
    for k in range(3):
        key = key * spans[k] + (shifts[:, k] - lowest[k])
    return torch.argsort(key)


@functools.cache
def _nvalchemi_works(device: torch.device) -> bool:
    """Try the library once on each GPU with two atoms, which also compiles its kernels."""
    if importlib.util.find_spec("nvalchemiops") is None:
        return False
    try:
        two = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64, device=device)
        edge_index, _ = on_device(two, np.zeros((3, 3)), np.zeros(3, dtype=bool), 1.5)
        works, why = edge_index.tolist() == [[0, 1], [1, 0]], "it finds wrong neighbours"
    except Exception as error:  # whatever a library of another version or a driver may say
        works, why = False, f"{type(error).__name__}: {error}"
    if not works:
        warnings.warn(
            f"nvalchemi-toolkit-ops does not work on {device} ({why}); neighbours are searched on the CPU",
            RuntimeWarning,
            stacklevel=2,
        )
    return works
