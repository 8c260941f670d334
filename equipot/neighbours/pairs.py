"""The libraries that find pairs of atoms in a box: matscipy and scipy on the CPU, nvalchemi-toolkit-ops on a GPU."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matscipy.neighbours import neighbour_list as linked_cells
from scipy.spatial import cKDTree
from torch import Tensor

# (positions (n_atoms, 3) inside the cell, cell (3, 3), pbc (3,), cutoff) -> int64 centres and neighbours (n_pairs,) and
# shifts (n_pairs, 3) of all pairs closer than the cutoff, in any order; more pairs do no harm.
Pairs = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor, Tensor]]


def pairs_of_matscipy(
    positions: Tensor, cell: Tensor, pbc: Tensor, cutoff: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Search by matscipy's linked cells, or by scipy's k-d tree where nothing is periodic.

    Open structures may spread so far that nearly all linked cells would be empty.
    """
    x, periodic = positions.numpy(), pbc.numpy()
    if not periodic.any():
        pairs = cKDTree(x).query_pairs(cutoff, output_type="ndarray").astype(np.int64).reshape(-1, 2)
        i, j = torch.from_numpy(np.concatenate([pairs, pairs[:, ::-1]])).T.contiguous()
        return i, j, torch.zeros((len(i), 3), dtype=torch.int64)
    with warnings.catch_warnings():
        # It says that a mostly empty cell is slow to search, and takes larger bins.
        warnings.filterwarnings("ignore", message="Ratio of simulation cell size", category=RuntimeWarning)
        i, j, shifts = linked_cells(
            "ijS",
            positions=np.ascontiguousarray(x),
            cell=cell.numpy(),
            pbc=periodic,
            cutoff=cutoff,
            numbers=np.ones(len(x), dtype=np.int32),
        )
    centres, neighbours = (torch.from_numpy(a.astype(np.int64)) for a in (i, j))
    return centres, neighbours, torch.from_numpy(shifts.astype(np.int64).reshape(-1, 3))


def pairs_of_nvalchemi(
    positions: Tensor, cell: Tensor, pbc: Tensor, cutoff: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Search by the linked cells of nvalchemi-toolkit-ops, whose kernel serves GPUs and CPUs.

    It fills a table with a row for every atom. The row's length is guessed from the density, and where an atom has
    more neighbours the search is made once more with the number that it counted.
    """
    cell_list = _cell_list()
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
    neighbours = table.flatten()[places].to(torch.int64)
    return centres, neighbours, shifts.view(-1, 3)[places].to(torch.int64)


@functools.cache
def _cell_list() -> Callable[..., Any]:
    import warp

    config: Any = warp.config
    config.quiet = True  # it would greet and report every kernel it loads
    from nvalchemiops.torch.neighbors import cell_list

    return cell_list
