"""A neighbour list kept from step to step: searched a little too far, valid until something moved that far.

Between a reference configuration (positions X, cell H₀) and the present one (x, H) let F be the affine map
that takes H₀ to H, and u_i = x_i - X_i F what atom i moved beyond it. A pair vector is then
r = R F + u_j - u_i, so a pair that was at least (rc + skin) apart is now at least
(rc + skin) σ_min(F) - |u_i| - |u_j| apart. As long as

    (rc + skin) σ_min(F) - |u|_largest - |u|_second ≥ rc

no pair outside the list can have come within rc, whatever cell and atoms did (Verlet 1967, with a cell that
changes). A uniform drift of all atoms changes no pair, and is left out of u.

Whatever grows with the number of atoms happens on the device of the edges: positions go there once per step, and one
length and the number of edges come back. Only the search may happen elsewhere, see `search.py`.
"""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from equipot.neighbours.search import Search, search_for
from equipot.ops import engine

# Edges that are filtered at once where the compiled kernel does not: bounds the memory for pairs beyond the cutoff.
AT_ONCE = 2**22


class VerletList:
    """Neighbours within a cutoff, with the search reused between similar configurations.

    Args:
        cutoff: Å; pairs with r < cutoff, strictly
        skin: Å, how much further the search goes; 0 searches whenever anything moved
        pair_cutoffs: (n_types, n_types) Å, symmetric: shorter cutoffs of some pairs
        device: where the edges are wanted
        search: what searches; by default what serves best on the device (`search_for`)
    """

    def __init__(
        self,
        cutoff: float,
        skin: float,
        pair_cutoffs: np.ndarray | None = None,
        device: str | torch.device = "cpu",
        search: Search | None = None,
    ) -> None:
        if not (np.isfinite(skin) and skin >= 0):
            raise ValueError(f"the skin is {skin} Å; expected a length of 0 or more")
        self.cutoff = float(cutoff)
        self.skin = float(skin)
        one_cutoff = pair_cutoffs is None or bool(np.all(np.asarray(pair_cutoffs) >= cutoff))
        self.pair_cutoffs = None if one_cutoff else np.asarray(pair_cutoffs, dtype=np.float64)
        self.device = torch.device(device)
        self.search = search_for(self.device) if search is None else search
        self.n_searches = 0
        self._lattice: _Lattice | None = None
        self._reference: tuple[Tensor, _Lattice, np.ndarray] | None = None

    def update(
        self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, species: np.ndarray
    ) -> tuple[Tensor, Tensor]:
        """Edges of a configuration.

        Args:
            positions: (n_atoms, 3), Å; wrapped or not, also differently from call to call
            cell: (3, 3), Å, rows are cell vectors
            pbc: (3,) bool
            species: (n_atoms,) int64, index into the type names

        Returns:
            edge_index: (2, n_edges) int64, row 0 the centre i ascending, row 1 the neighbour j
            edge_vectors: (n_edges, 3) float64, Å, r_ij = r_j - r_i + shift·cell

        Raises DataError when the periodic cell vectors span no volume or numbers are not finite.
        """
        # A copy: a search keeps what it searched, whatever becomes of the caller's array.
        given = np.array(positions, dtype=np.float64).reshape(-1, 3)
        x = torch.from_numpy(given).to(self.device)
        lattice = self._lattice_of(cell, pbc)
        unjumped = self._if_valid(x, lattice, species)
        if unjumped is None:
            self._find(x, lattice, np.array(species, dtype=np.int64))
            unjumped = x
        arguments = (unjumped, self._edges, self._shifts, lattice.to_vectors, self._limit_squared)
        if self.device.type == "cpu" and engine.available():
            return engine.near(*arguments)
        return near(*arguments)

    def _lattice_of(self, cell: np.ndarray, pbc: np.ndarray) -> "_Lattice":
        """The one of the step before, with its tensors, where the cell has not changed."""
        cell = np.array(cell, dtype=np.float64).reshape(3, 3)
        pbc = np.array(pbc, dtype=bool).reshape(3)
        kept = self._lattice
        if kept is None or (pbc != kept.pbc).any() or (cell != kept.cell).any():
            kept = self._lattice = _Lattice(cell, pbc, self.device)
        return kept

    def _if_valid(self, x: Tensor, lattice: "_Lattice", species: np.ndarray) -> Tensor | None:
        """Positions as the stored shifts expect them, jumps since the search undone; None: search again."""
        if self._reference is None:
            return None
        old_x, old, old_species = self._reference
        if len(x) != len(old_x) or (lattice.pbc != old.pbc).any() or (species != old_species).any():
            return None
        smallest_stretch = 1.0
        moved = x - old_x
        if lattice is not old and (lattice.periodic != old.periodic).any():
            # The affine map of the periodic vectors; across them, nothing.
            affine = np.eye(3) + old.inverse @ (lattice.periodic - old.periodic)
            if not np.isfinite(affine).all():
                return None
            smallest_stretch = float(np.linalg.svd(affine, compute_uv=False)[-1])
            if (self.cutoff + self.skin) * smallest_stretch < self.cutoff:
                return None  # a cell without volume ends here, too
            moved = x - old_x @ torch.from_numpy(affine).to(self.device)
        if lattice.pbc.any():
            # Atoms wrapped across the boundary since the search: the stored shifts belong to where they were.
            back = torch.round(moved @ lattice.to_numbers) @ lattice.to_vectors
            moved, x = moved - back, x - back
        moved = moved - moved.mean(0)
        farthest = float(torch.linalg.vector_norm(moved, dim=1).topk(min(2, len(x))).values.sum())
        reach = (self.cutoff + self.skin) * smallest_stretch - farthest
        # Rounding must not be what decides; an unmoved configuration always passes.
        unmoved = farthest == 0.0 and smallest_stretch == 1.0
        return x if unmoved or reach >= self.cutoff * (1 + 1e-12) else None

    def _find(self, x: Tensor, lattice: "_Lattice", species: np.ndarray) -> None:
        self._reference = None  # a search that fails leaves no list behind
        wider = None if self.pair_cutoffs is None else self.pair_cutoffs + self.skin
        reach = self.cutoff + self.skin
        self._edges, shifts = self.search.find(x, lattice.cell, lattice.pbc, reach, species, wider)
        self._shifts = shifts.to(torch.float64)
        limit = torch.full((1,), self.cutoff, dtype=torch.float64, device=self.device)
        if self.pair_cutoffs is not None:
            limits = torch.from_numpy(np.minimum(self.cutoff, self.pair_cutoffs)).to(self.device)
            types = torch.from_numpy(species).to(self.device)
            limit = limits[types[self._edges[0]], types[self._edges[1]]]
        self._limit_squared = limit**2
        self._reference = (x, lattice, species)
        self.n_searches += 1


class _Lattice:
    """The periodic vectors of a cell, and what is made of them once.

    periodic (3, 3) Å: rows of directions that are not periodic are zero, as they are no part of any vector.
    inverse (3, 3) 1/Å: from displacements to numbers of periodic vectors, columns of the other directions zero.
    """

    def __init__(self, cell: np.ndarray, pbc: np.ndarray, device: torch.device) -> None:
        self.cell, self.pbc, self.device = cell, pbc, device
        self.periodic = np.where(pbc[:, None], cell, 0.0)
        self.to_vectors = torch.from_numpy(self.periodic).to(device)

    @cached_property
    def inverse(self) -> np.ndarray:
        if self.pbc.all():
            return np.linalg.inv(self.cell)
        columns = np.zeros((3, 3))
        columns[:, self.pbc] = np.linalg.pinv(self.cell[self.pbc])
        return columns

    @cached_property
    def to_numbers(self) -> Tensor:
        return torch.from_numpy(self.inverse).to(self.device)


def near(
    positions: Tensor, edge_index: Tensor, shifts: Tensor, cell: Tensor, limit_squared: Tensor
) -> tuple[Tensor, Tensor]:
    """`engine.near` by torch, on any device: the edges with |r_ij|² < limit_squared, and their r_ij."""
    centre, neighbour = edge_index
    kept_edges, kept_vectors = [edge_index[:, :0]], [positions[:0]]
    for begin in range(0, len(centre), AT_ONCE):
        piece = slice(begin, begin + AT_ONCE)
        vectors = positions.index_select(0, neighbour[piece])
        vectors -= positions.index_select(0, centre[piece])
        vectors += shifts[piece] @ cell
        limit = limit_squared if len(limit_squared) == 1 else limit_squared[piece]
        inside = torch.nonzero(vectors.square().sum(1) < limit).squeeze(1)
        kept_edges.append(edge_index[:, piece].index_select(1, inside))
        kept_vectors.append(vectors.index_select(0, inside))
    return torch.cat(kept_edges, dim=1), torch.cat(kept_vectors)
