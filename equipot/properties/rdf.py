"""Radial distribution functions of periodic structures.

ASE's `get_rdf` refuses distances beyond half the cell and counts an atom among its own neighbours' density, so that a
small cell's g(r) does not reach 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list

from equipot.errors import DataError


@dataclass(frozen=True)
class RDF:
    """g(r) of all pairs and of each pair of elements, averaged over frames."""

    r: np.ndarray  # Shape: (n_bins,), Å, centres of the bins
    total: np.ndarray  # Shape: (n_bins,)
    pairs: dict[str, np.ndarray]  # "Si-O" -> (n_bins,)

    @property
    def first_peak(self) -> tuple[float, float]:
        """Position (Å) and height of the maximum of the total."""
        k = int(self.total.argmax())
        return float(self.r[k]), float(self.total[k])


def radial_distribution(frames: Sequence[Atoms], r_max: float, n_bins: int = 200) -> RDF:
    """Compute the density of atoms around an atom, divided by that of an ideal gas of as many atoms in the same cell.

    A pair of one element is normalised with its N - 1 other atoms, so that an ideal gas of any N has g = 1.

    Args:
        frames: structures with the elements of the first.
        r_max: largest distance (Å). Beyond half the cell, the images of an atom count like other atoms, and their order
            becomes visible.
        n_bins: number of bins.

    Raises:
        DataError: there are no frames, or a frame is not periodic in all directions or has other elements.
    """
    if not frames:
        raise DataError("there are no frames; a radial distribution needs one at least")
    if not r_max > 0:
        raise DataError(f"the largest distance is {r_max:g} Å; expected a positive length")
    edges = np.linspace(0, r_max, n_bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    elements = sorted(set(frames[0].symbols))
    names = list(combinations_with_replacement(elements, 2))
    pairs = {f"{a}-{b}": np.zeros(n_bins) for a, b in names}
    total = np.zeros(n_bins)
    for atoms in frames:
        if not atoms.pbc.all():
            raise DataError("a frame is not periodic in all directions, so it has no density")
        if sorted(set(atoms.symbols)) != elements:
            raise DataError("the frames do not hold the same elements")
        volume = atoms.get_volume()
        i, j, r = neighbour_list("ijd", atoms, r_max)
        symbols = np.array(atoms.symbols)
        total += _normalised(r, edges, shells, volume, len(atoms), len(atoms) - 1)
        for a, b in names:
            of_pair = r[(symbols[i] == a) & (symbols[j] == b)]
            n_a, n_b = int((symbols == a).sum()), int((symbols == b).sum())
            pairs[f"{a}-{b}"] += _normalised(of_pair, edges, shells, volume, n_a, n_b - (a == b))
    n = len(frames)
    return RDF(0.5 * (edges[1:] + edges[:-1]), total / n, {name: g / n for name, g in pairs.items()})


def _normalised(
    r: np.ndarray, edges: np.ndarray, shells: np.ndarray, volume: float, centres: int, others: int
) -> np.ndarray:
    counts = np.histogram(r, edges)[0].astype(np.float64)
    expected = centres * max(others, 0) / volume * shells
    return np.divide(counts, expected, out=np.zeros_like(counts), where=expected > 0)
