"""Search of pairs of atoms in a box with libraries: matscipy and scipy on the CPU, nvalchemi-toolkit-ops on a GPU."""

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matscipy.neighbours import neighbour_list as linked_cells

from equipot.neighbours.arrays import Array

if TYPE_CHECKING:
    from torch import Tensor

# Arguments: positions (n_atoms, 3) inside the cell, cell (3, 3), pbc (3,), cutoff. Results: int64 centres (n_pairs,),
# neighbours (n_pairs,) and shifts (n_pairs, 3) of all pairs closer than the cutoff, in any order. The result may also
# contain pairs beyond the cutoff.
Pairs = Callable[[Array, Array, Array, float], tuple[Array, Array, Array]]


FEW = 64  # atoms


def pairs_of_matscipy(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Search with matscipy's linked cells, or with scipy's k-d tree for structures without periodicity.

    The atoms of an open structure may be so far apart that nearly all linked cells would be empty. If they are few, all
    pairs are compared, which needs no tree.
    """
    if not pbc.any() and len(positions) <= FEW:
        squared = ((positions[:, None] - positions) ** 2).sum(2)
        i, j = np.nonzero(squared < cutoff**2)
        return i, j, np.zeros((len(i), 3), dtype=np.int64)
    if not pbc.any():
        from scipy.spatial import cKDTree  # slow to import, and many structures do not need it

        pairs = cKDTree(positions).query_pairs(cutoff, output_type="ndarray").astype(np.int64).reshape(-1, 2)
        i, j = np.ascontiguousarray(np.concatenate([pairs, pairs[:, ::-1]]).T)
        return i, j, np.zeros((len(i), 3), dtype=np.int64)
    with warnings.catch_warnings():
        # For a mostly empty cell, matscipy warns that the search is slow, and uses larger bins.
        warnings.filterwarnings("ignore", message="Ratio of simulation cell size", category=RuntimeWarning)
        i, j, shifts = linked_cells(
            "ijS",
            positions=np.ascontiguousarray(positions),
            cell=cell,
            pbc=pbc,
            cutoff=cutoff,
            numbers=np.ones(len(positions), dtype=np.int32),
        )
    return i.astype(np.int64), j.astype(np.int64), shifts.astype(np.int64).reshape(-1, 3)


def pairs_of_nvalchemi(
    positions: "Tensor", cell: "Tensor", pbc: "Tensor", cutoff: float
) -> tuple["Tensor", "Tensor", "Tensor"]:
    """Search with the linked cells of nvalchemi-toolkit-ops, whose kernel runs on GPUs and CPUs.

    The library fills a table with one row for each atom. The length of a row is estimated from the density. If an atom
    has more neighbours, the search is repeated with the largest number of neighbours that it counted.
    """
    import torch

    cell_list = _cell_list()
    volume = float(torch.linalg.det(cell).abs())
    guess = len(positions) / volume * 4.19 * cutoff**3
    columns = 16 + int(1.3 * min(guess, 1000.0))
    while True:
        table, counts, shifts = cell_list(
            positions, cutoff, cell, pbc, max_neighbors=columns, strategy="atom_centric"
        )
        n_max = int(counts.max())
        if n_max <= columns:
            break
        columns = n_max
    filled = torch.arange(columns, device=counts.device) < counts[:, None]
    entries = filled.flatten().nonzero().squeeze(1)
    centres = torch.div(entries, columns, rounding_mode="floor")
    neighbours = table.flatten()[entries].to(torch.int64)
    return centres, neighbours, shifts.view(-1, 3)[entries].to(torch.int64)


@functools.cache
def _cell_list() -> Callable[..., Any]:
    import warp

    config: Any = warp.config
    config.quiet = True  # otherwise warp prints a message at its start and for each kernel
    from nvalchemiops.torch.neighbors import cell_list

    return cell_list
