"""What a network between ranks has to carry, counted from the geometry of their subdomains."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

COORDINATES = 24  # bytes: LAMMPS sends positions of ghosts, and their forces back
SHARE = 0.1  # of the compute time that communication may take in `projected`


@dataclass(frozen=True)
class Volume:
    """Of one rank and one step."""

    ghosts: float  # atoms of other ranks within its halo, each once
    exchanges: int
    feature_bytes: float  # rows of features, and of their gradients
    received_bytes: float  # these, positions and forces


def halo(box: Sequence[float], grid: Sequence[int], reach: float) -> float:
    """Volume (Å³) that other ranks own within `reach` (Å) of a rank's part, of a periodic box cut into a grid.

    All images of a point count once: across a direction that is not divided lies what the rank has anyway, and
    no part is near to more than the whole box.
    """
    inner = outer = 1.0
    for length, parts in zip(box, grid):
        inner *= length / parts
        outer *= min(length, length / parts + 2 * reach)
    return outer - inner


def volume(ghosts: float, row_bytes: Sequence[int]) -> Volume:
    """row_bytes: of what travels to each layer but the first; each goes out, and its gradient comes back."""
    features = ghosts * 2 * sum(row_bytes)
    return Volume(ghosts, 2 * len(row_bytes) + 2, features, features + ghosts * 2 * COORDINATES)


def messages(edges: Sequence[float], reach: float) -> int:
    """Of one exchange in a box divided in all directions: LAMMPS passes rows on from face to face, and through more
    than one rank where subdomains are narrower than the halo."""
    return sum(2 * math.ceil(reach / edge) for edge in edges)


def projected(
    atoms_per_rank: int, density: float, reach: float, row_bytes: Sequence[int], seconds_per_atom: float
) -> dict[str, float]:
    """A cube of atoms in a large box divided in all directions: compute from a measurement, the rest from counts.

    density: atoms/Å³. `bandwidth` is the bytes per second that a rank must receive for the transfer to take `SHARE`
    of the time of its own atoms.
    """
    edge = (atoms_per_rank / density) ** (1 / 3)
    many = 3 + 2 * math.ceil(reach / edge)  # parts: the box is wider than a part with its halo
    counted = volume(density * halo((many * edge,) * 3, (many,) * 3, reach), row_bytes)
    compute = atoms_per_rank * seconds_per_atom
    return {
        "atoms": atoms_per_rank,
        "edge": edge,
        "ghosts": counted.ghosts,
        "exchanges": counted.exchanges,
        "messages": counted.exchanges * messages((edge,) * 3, reach),
        "received_bytes": counted.received_bytes,
        "compute_seconds": compute,
        "bandwidth": counted.received_bytes / (SHARE * compute),
    }
