"""Who searches neighbours: matscipy on the CPU, or nvalchemi-toolkit-ops where positions lie, which may be a GPU.

Both give what `neighbour_list` gives. The library is asked only for pairs in a box (`Pairs`); which atoms are inside
the cell, what a direction without periodicity means, which pairs count and their order is said here, in torch.
"""

import functools
import importlib.util
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from equipot.data.neighbours import complete, expect_searchable, neighbour_list

# (positions (n_atoms, 3) inside the cell, cell (3, 3), pbc (3,), cutoff) -> centres, neighbours (n_pairs,) and shifts
# (n_pairs, 3) of all pairs closer than the cutoff, in any order; more pairs do no harm.
Pairs = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor, Tensor]]


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
    """A way to search, and what a user is told of it."""

    name: str
    find: Find


def search_for(device: torch.device) -> Search:
    """On a GPU the library, where it is installed and works; otherwise matscipy."""
    if device.type == "cuda" and _library_works(device):
        return Search(f"nvalchemi-toolkit-ops {version('nvalchemi-toolkit-ops')} on {device}", on_gpu)
    return Search("matscipy on the CPU", by_matscipy)


def by_matscipy(
    positions: Tensor,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    species: np.ndarray | None = None,
    pair_cutoffs: np.ndarray | None = None,
) -> tuple[Tensor, Tensor]:
    """`neighbour_list`; positions and edges travel between the device and the CPU."""
    edge_index, shifts, _ = neighbour_list(
        positions.cpu().numpy(), cell, pbc, cutoff, species=species, pair_cutoffs=pair_cutoffs
    )
    return tuple(torch.from_numpy(a).to(positions.device) for a in (edge_index, shifts))  # type: ignore[return-value]


def on_gpu(
    positions: Tensor,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    species: np.ndarray | None = None,
    pair_cutoffs: np.ndarray | None = None,
) -> tuple[Tensor, Tensor]:
    """`where_positions_lie`, and matscipy where the library's table does not fit into the memory left on the GPU."""
    arguments = (positions, cell, pbc, cutoff, species, pair_cutoffs)
    try:
        return where_positions_lie(*arguments)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return by_matscipy(*arguments)


def where_positions_lie(
    positions: Tensor,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
    species: np.ndarray | None = None,
    pair_cutoffs: np.ndarray | None = None,
    pairs: Pairs | None = None,
) -> tuple[Tensor, Tensor]:
    """`neighbour_list` in torch and `pairs` (the library's), on the device of the positions.

    Parameters and errors as there. Returns edge_index (2, n_edges) and shifts (n_edges, 3), int64.
    """
    expect_searchable(bool(torch.isfinite(positions).all()), cell, pbc, cutoff)
    n_atoms, device = len(positions), positions.device
    if n_atoms == 0:
        none = torch.zeros(2, 0, dtype=torch.int64, device=device)
        return none, none.new_zeros(0, 3)

    def there(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    basis = complete(cell, pbc)
    h = there(basis)
    wrapped = torch.floor(positions @ there(np.linalg.inv(basis))) * there(pbc.astype(np.float64))
    inside = positions - wrapped @ h
    # A slightly larger search, so that the strict comparison below decides in one place and symmetrically.
    boxed, box = _enclose(inside, basis, pbc, cutoff)
    i, j, shifts = (pairs or by_library)(boxed, box, there(pbc), cutoff * (1 + 1e-9))

    vectors = inside.index_select(0, j)
    vectors -= inside.index_select(0, i)
    vectors += shifts.to(torch.float64) @ h
    limit: float | Tensor = cutoff
    if pair_cutoffs is not None:
        if species is None:
            raise ValueError("pair_cutoffs need species")
        types = there(species)
        limit = there(np.minimum(cutoff, pair_cutoffs))[types[i], types[j]]
    keep = vectors.square_().sum(1) < limit**2
    keep &= (i != j) | shifts.any(dim=1)
    del vectors
    i, j, shifts = i[keep].to(torch.int64), j[keep].to(torch.int64), shifts[keep].to(torch.int64)
    order = _order(i, j, shifts, n_atoms)
    i, j, shifts = i[order], j[order], shifts[order]
    # From wrapped atoms back to the atoms as given; of one pair of atoms all shifts change alike, so the order stays.
    shifts += (wrapped[i] - wrapped[j]).to(torch.int64)
    return torch.stack([i, j]), shifts


def _enclose(inside: Tensor, basis: np.ndarray, pbc: np.ndarray, cutoff: float) -> tuple[Tensor, Tensor]:
    """Positions and a box that holds them, with the same neighbours; see `equipot.data.neighbours`."""
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


def by_library(positions: Tensor, cell: Tensor, pbc: Tensor, cutoff: float) -> tuple[Tensor, Tensor, Tensor]:
    """`Pairs` of nvalchemi-toolkit-ops: its linked cells, the kernel that it has for GPUs and CPUs alike.

    It fills a table with a row for every atom. The row's length is guessed from the density, and where an atom has
    more neighbours the search is made once more with the number that it counted.
    """
    cell_list = _library()
    volume = float(torch.linalg.det(cell).abs())
    guess = len(positions) / volume * 4.19 * cutoff**3
    columns = 16 + int(1.3 * min(guess, 1000.0))
    while True:
        table, counts, shifts = cell_list(
            positions, cutoff, cell, pbc, max_neighbors=columns, strategy="atom_centric"
        )
        most = int(counts.max())
        if most <= columns:
            break
        columns = most
    filled = torch.arange(columns, device=counts.device) < counts[:, None]
    places = filled.flatten().nonzero().squeeze(1)
    centres = torch.div(places, columns, rounding_mode="floor")
    return centres, table.flatten()[places].to(torch.int64), shifts.view(-1, 3)[places]


@functools.cache
def _library() -> Callable:
    import warp

    config: Any = warp.config
    config.quiet = True  # it would greet and report every kernel it loads
    from nvalchemiops.torch.neighbors import cell_list

    return cell_list


@functools.cache
def _library_works(device: torch.device) -> bool:
    """Found out once for each GPU, by a search for two atoms; it compiles the library's kernels."""
    if importlib.util.find_spec("nvalchemiops") is None:
        return False
    try:
        two = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64, device=device)
        edge_index, _ = where_positions_lie(two, np.zeros((3, 3)), np.zeros(3, dtype=bool), 1.5)
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
