"""A Verlet list: neighbours up to the cutoff plus a skin, valid until atoms have moved through the skin.

Let X and H₀ be the positions and the cell at the last search, and x and H those of the present step. F is the affine
map from H₀ to H, and u_i = x_i - X_i F is the displacement of atom i beyond it. A pair vector is now
r = R F + u_j - u_i. The distance of a pair that was at least rc + skin is therefore at least
(rc + skin) σ_min(F) - |u_i| - |u_j|. No pair outside the list can be closer than rc as long as

    (rc + skin) σ_min(F) - |u|_largest - |u|_second ≥ rc

(Verlet 1967, extended to a changing cell). A uniform drift of all atoms changes no pair and is subtracted from u.

All work that grows with the number of atoms is done where the edges are: by numpy on the host, or by torch on a device.
In each step on a device, the positions are copied to it, and one length and the number of edges are copied back. Only
the search may run elsewhere, see `search.py`.
"""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from equipot import native
from equipot.neighbours.arrays import Array, beside, namespace, on
from equipot.neighbours.search import Search, search_for

if TYPE_CHECKING:
    import torch

# Number of edges that are filtered at once if there is no compiled kernel. It limits the memory.
CHUNK = 2**22


class VerletList:
    """A list of neighbours within a cutoff that reuses one search for several steps.

    Args:
        cutoff: Å; pairs with r < cutoff are neighbours.
        skin: Å, added to the cutoff in the search. With 0, every step in which an atom moved needs a search.
        pair_cutoffs: (n_types, n_types) Å, symmetric: shorter cutoffs for pairs of species.
        device: of the edges, which are tensors; None: they are numpy arrays.
        search: the search; by default the fastest one for the device (`search_for`).
    """

    def __init__(
        self,
        cutoff: float,
        skin: float,
        pair_cutoffs: np.ndarray | None = None,
        device: "torch.device | None" = None,
        search: Search | None = None,
    ) -> None:
        if not (np.isfinite(skin) and skin >= 0):
            raise ValueError(f"the skin is {skin} Å; expected a length of 0 or more")
        self.cutoff = float(cutoff)
        self.skin = float(skin)
        no_shorter = pair_cutoffs is None or bool(np.all(np.asarray(pair_cutoffs) >= cutoff))
        self.pair_cutoffs = None if no_shorter else np.asarray(pair_cutoffs, dtype=np.float64)
        self.device = device
        self.search = search_for(device) if search is None else search
        self.n_searches = 0
        self._lattice: _Lattice | None = None
        self._reference: tuple[Array, _Lattice, np.ndarray] | None = None

    def update(
        self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, species: np.ndarray
    ) -> tuple[Array, Array]:
        """Return the edges of a configuration.

        Args:
            positions: (n_atoms, 3) Å, wrapped or not. Atoms may be wrapped in one call and not in the next.
            cell: (3, 3) Å, rows are cell vectors.
            pbc: (3,) bool.
            species: (n_atoms,) int64, index into the type names.

        Returns:
            edge_index: (2, n_edges) int64, row 0 the centre i ascending, row 1 the neighbour j.
            edge_vectors: (n_edges, 3) float64, Å, r_ij = r_j - r_i + shift·cell.

        Raises:
            DataError: the periodic cell vectors span no volume, or numbers are not finite.
        """
        # A copy, because the list keeps the positions of a search and the caller may change the array.
        x = on(self.device, np.array(positions, dtype=np.float64).reshape(-1, 3))
        lattice = self._lattice_of(cell, pbc)
        unwrapped = self._unwrapped_if_valid(x, lattice, species)
        if unwrapped is None:
            self._find(x, lattice, np.array(species, dtype=np.int64))
            unwrapped = x
        arguments = (unwrapped, self._edges, self._shifts, lattice.to_vectors, self._limit_squared)
        if self.device is None and native.available():
            return native.near(*arguments)
        return near(*arguments)

    def _lattice_of(self, cell: np.ndarray, pbc: np.ndarray) -> "_Lattice":
        """Return the lattice of a cell. If the cell has not changed, return that of the last step with its arrays."""
        cell = np.array(cell, dtype=np.float64).reshape(3, 3)
        pbc = np.array(pbc, dtype=bool).reshape(3)
        lattice = self._lattice
        if lattice is None or (pbc != lattice.pbc).any() or (cell != lattice.cell).any():
            lattice = self._lattice = _Lattice(cell, pbc, self.device)
        return lattice

    def _unwrapped_if_valid(self, x: Array, lattice: "_Lattice", species: np.ndarray) -> Array | None:
        """Return positions that fit the stored shifts, without jumps across the boundary. None: a search is needed."""
        if self._reference is None or len(x) == 0:
            return None
        old_x, old, old_species = self._reference
        if len(x) != len(old_x) or (lattice.pbc != old.pbc).any() or (species != old_species).any():
            return None
        xp, smallest_stretch = namespace(x), 1.0
        moved = x - old_x
        if lattice is not old and (lattice.periodic != old.periodic).any():
            # The affine map of the periodic vectors. It changes no directions perpendicular to them.
            affine = np.eye(3) + old.inverse @ (lattice.periodic - old.periodic)
            if not np.isfinite(affine).all():
                return None
            smallest_stretch = float(np.linalg.svd(affine, compute_uv=False)[-1])
            if (self.cutoff + self.skin) * smallest_stretch < self.cutoff:
                return None  # also for a cell without volume
            moved = x - old_x @ beside(x, affine)
        if lattice.pbc.any():
            # The stored shifts fit the positions at the search, so later jumps across the boundary are undone.
            back = xp.round(moved @ lattice.to_numbers) @ lattice.to_vectors
            moved, x = moved - back, x - back
        moved = moved - moved.mean(0)
        displacement = _two_largest(moved)
        reach = (self.cutoff + self.skin) * smallest_stretch - displacement
        # A margin for rounding. Without any displacement the list is always valid.
        unmoved = displacement == 0.0 and smallest_stretch == 1.0
        return x if unmoved or reach >= self.cutoff * (1 + 1e-12) else None

    def _find(self, x: Array, lattice: "_Lattice", species: np.ndarray) -> None:
        self._reference = None  # a search that fails must leave no valid list
        wider = None if self.pair_cutoffs is None else self.pair_cutoffs + self.skin
        reach = self.cutoff + self.skin
        self._edges, shifts = self.search.find(x, lattice.cell, lattice.pbc, reach, species, wider)
        xp = namespace(x)
        self._shifts = xp.asarray(shifts, dtype=xp.float64)
        limit = beside(x, np.full(1, self.cutoff))
        if self.pair_cutoffs is not None:
            limits, types = beside(x, np.minimum(self.cutoff, self.pair_cutoffs)), beside(x, species)
            limit = limits[types[self._edges[0]], types[self._edges[1]]]
        self._limit_squared = limit**2
        self._reference = (x, lattice, species)
        self.n_searches += 1


class _Lattice:
    """A cell with its periodic vectors and their inverse, computed once.

    Attributes:
        periodic: (3, 3) Å, the cell with zeros in the rows of non-periodic directions.
        to_vectors: `periodic` where the edges are.
        inverse: (3, 3) 1/Å, from displacements to numbers of periodic vectors; the columns of non-periodic directions
            are zero.
        to_numbers: `inverse` where the edges are.
    """

    def __init__(self, cell: np.ndarray, pbc: np.ndarray, device: "torch.device | None") -> None:
        self.cell, self.pbc, self.device = cell, pbc, device
        self.periodic = np.where(pbc[:, None], cell, 0.0)
        self.to_vectors = on(device, self.periodic)

    @cached_property
    def inverse(self) -> np.ndarray:
        if self.pbc.all():
            return np.linalg.inv(self.cell)
        columns = np.zeros((3, 3))
        columns[:, self.pbc] = np.linalg.pinv(self.cell[self.pbc])
        return columns

    @cached_property
    def to_numbers(self) -> Array:
        return on(self.device, self.inverse)


def _two_largest(moved: Array) -> float:
    """Return the sum of the two largest lengths of displacements (n_atoms, 3)."""
    squared = (moved * moved).sum(1)
    k = squared.argmax()
    largest = float(squared[k])
    squared[k] = 0.0
    return float(np.sqrt(largest) + np.sqrt(float(squared.max())))


def near(
    positions: Array, edge_index: Array, shifts: Array, cell: Array, limit_squared: Array
) -> tuple[Array, Array]:
    """Return the edges with |r_ij|² < limit_squared and their vectors: `native.near` for any device."""
    centre, neighbour = edge_index
    near_edges, near_vectors = [edge_index[:, :0]], [positions[:0]]
    for begin in range(0, len(centre), CHUNK):
        chunk = slice(begin, begin + CHUNK)
        vectors = positions[neighbour[chunk]]
        vectors -= positions[centre[chunk]]
        vectors += shifts[chunk] @ cell
        limit = limit_squared if len(limit_squared) == 1 else limit_squared[chunk]
        inside = (vectors**2).sum(1) < limit
        near_edges.append(edge_index[:, chunk][:, inside])
        near_vectors.append(vectors[inside])
    xp = namespace(positions)
    return xp.concatenate(near_edges, 1), xp.concatenate(near_vectors)
