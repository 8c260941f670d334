"""A neighbour list kept from step to step: searched a little too far, valid until something moved that far.

Between a reference configuration (positions X, cell H₀) and the present one (x, H) let F be the affine map
that takes H₀ to H, and u_i = x_i - X_i F what atom i moved beyond it. A pair vector is then
r = R F + u_j - u_i, so a pair that was at least (rc + skin) apart is now at least
(rc + skin) σ_min(F) - |u_i| - |u_j| apart. As long as

    (rc + skin) σ_min(F) - |u|_largest - |u|_second ≥ rc

no pair outside the list can have come within rc, whatever cell and atoms did (Verlet 1967, with a cell that
changes). A uniform drift of all atoms changes no pair, and is left out of u.
"""

import numpy as np
import torch
from torch import Tensor

from equipot.data.neighbours import neighbour_list
from equipot.ops import engine


class VerletList:
    """Neighbours within a cutoff, with the search reused between similar configurations.

    Parameters
    ----------
    cutoff : Å; pairs with r < cutoff, strictly
    skin : Å, how much further the search goes; 0 searches whenever anything moved
    pair_cutoffs : (n_types, n_types) Å, symmetric: shorter cutoffs of some pairs
    device : where the edges are wanted
    """

    def __init__(
        self,
        cutoff: float,
        skin: float,
        pair_cutoffs: np.ndarray | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        if not (np.isfinite(skin) and skin >= 0):
            raise ValueError(f"the skin is {skin} Å; expected a length of 0 or more")
        self.cutoff = float(cutoff)
        self.skin = float(skin)
        one_cutoff = pair_cutoffs is None or bool(np.all(np.asarray(pair_cutoffs) >= cutoff))
        self.pair_cutoffs = None if one_cutoff else np.asarray(pair_cutoffs, dtype=np.float64)
        self.device = torch.device(device)
        self.n_searches = 0
        self._reference: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None = None

    def update(
        self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, species: np.ndarray
    ) -> tuple[Tensor, Tensor]:
        """Edges of a configuration.

        Parameters
        ----------
        positions : (n_atoms, 3), Å; wrapped or not, also differently from call to call
        cell : (3, 3), Å, rows are cell vectors
        pbc : (3,) bool
        species : (n_atoms,) int64, index into the type names

        Returns
        -------
        edge_index : (2, n_edges) int64, row 0 the centre i ascending, row 1 the neighbour j
        edge_vectors : (n_edges, 3) float64, Å, r_ij = r_j - r_i + shift·cell

        Raises DataError when the periodic cell vectors span no volume or numbers are not finite.
        """
        positions = np.array(positions, dtype=np.float64).reshape(-1, 3)
        cell = np.array(cell, dtype=np.float64).reshape(3, 3)
        pbc = np.array(pbc, dtype=bool).reshape(3)
        jumps = self._jumps_if_valid(positions, cell, pbc, species)
        if jumps is None:
            self._search(positions, cell, pbc, np.array(species, dtype=np.int64))
        elif jumps.any():
            # Atoms wrapped across the boundary since the search: the stored shifts belong to where they were.
            positions = positions - jumps @ cell
        x = torch.from_numpy(positions).to(self.device)
        h = torch.from_numpy(cell).to(self.device)
        if self.device.type == "cpu" and engine.available():
            return engine.near(x, self._edges, self._shifts, h, self._limit_squared)
        shift_vectors = self._shifts @ h
        vectors = x.index_select(0, self._edges[1]) - x.index_select(0, self._edges[0]) + shift_vectors
        near = torch.nonzero(vectors.square().sum(1) < self._limit_squared).squeeze(1)
        return self._edges.index_select(1, near), vectors.index_select(0, near)

    def _jumps_if_valid(
        self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, species: np.ndarray
    ) -> np.ndarray | None:
        """(n_atoms, 3) cell vectors that atoms jumped since the search; None: the list no longer holds."""
        if self._reference is None:
            return None
        old_positions, old_cell, old_pbc, old_species = self._reference
        if len(positions) != len(old_positions) or (pbc != old_pbc).any() or (species != old_species).any():
            return None
        smallest_stretch = 1.0
        moved = positions - old_positions
        if (cell[pbc] != old_cell[pbc]).any():
            # The affine map of the periodic vectors; across them, nothing.
            affine = np.eye(3) + np.linalg.pinv(old_cell[pbc]) @ (cell[pbc] - old_cell[pbc])
            smallest_stretch = float(np.linalg.svd(affine, compute_uv=False).min())
            moved = positions - old_positions @ affine
        jumps = np.zeros((len(positions), 3))
        if pbc.any():
            jumps[:, pbc] = np.round(moved @ np.linalg.pinv(cell[pbc]))
            moved = moved - jumps @ np.where(pbc[:, None], cell, 0.0)
        moved = moved - moved.mean(axis=0) if len(moved) else moved
        farthest = np.sort(np.linalg.norm(moved, axis=1))[-2:].sum()
        reach = (self.cutoff + self.skin) * smallest_stretch - farthest
        # Rounding must not be what decides; an unmoved configuration always passes.
        unmoved = farthest == 0.0 and smallest_stretch == 1.0
        return jumps if unmoved or reach >= self.cutoff * (1 + 1e-12) else None

    def _search(self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, species: np.ndarray) -> None:
        self._reference = None  # a search that fails leaves no list behind
        wider = None if self.pair_cutoffs is None else self.pair_cutoffs + self.skin
        edge_index, shifts, _ = neighbour_list(
            positions, cell, pbc, self.cutoff + self.skin, species=species, pair_cutoffs=wider
        )
        self._edges = torch.from_numpy(edge_index).to(self.device)
        self._shifts = torch.from_numpy(shifts.astype(np.float64)).to(self.device)
        limit = torch.full((1,), self.cutoff, dtype=torch.float64, device=self.device)
        if self.pair_cutoffs is not None:
            pairs = self.pair_cutoffs[species[edge_index[0]], species[edge_index[1]]]
            limit = torch.from_numpy(np.minimum(self.cutoff, pairs)).to(self.device)
        self._limit_squared = limit**2
        self._reference = (positions, cell, pbc, species)
        self.n_searches += 1
