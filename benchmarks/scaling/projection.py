"""Communication between ranks, counted from the geometry of their subdomains."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

COORDINATES = 24  # bytes per ghost: LAMMPS sends its position, and its force back
SHARE = 0.1  # fraction of the compute time that communication may take in `projected`


@dataclass(frozen=True)
class Volume:
    """Communication of one rank in one step."""

    ghosts: float  # atoms of other ranks within its halo, each counted once
    exchanges: int
    feature_bytes: float  # rows of features, and of their gradients
    received_bytes: float  # these, positions and forces


def halo(box: Sequence[float], grid: Sequence[int], reach: float) -> float:
    """Return the volume (Å³) of other ranks within `reach` (Å) of one rank's part of a periodic box cut into a grid.

    All images of a point count once: along a direction that is not divided the rank owns all of the box, and a halo
    holds no more than the whole box.
    """
    inner = outer = 1.0
    for length, parts in zip(box, grid):
        inner *= length / parts
        outer *= min(length, length / parts + 2 * reach)
    return outer - inner


def volume(ghosts: float, row_bytes: Sequence[int]) -> Volume:
    """Return the communication for a number of ghosts; row_bytes: of the features sent to each layer but the first.

    Features are sent to ghosts, and their gradients are sent back.
    """
    features = ghosts * 2 * sum(row_bytes)
    return Volume(ghosts, 2 * len(row_bytes) + 2, features, features + ghosts * 2 * COORDINATES)


def messages(edges: Sequence[float], reach: float) -> int:
    """Return the messages of one exchange in a box divided in all directions.

    LAMMPS sends rows from face to face, and through more than one rank where subdomains are narrower than the halo.
    """
    return sum(2 * math.ceil(reach / edge) for edge in edges)


def projected(
    atoms_per_rank: int, density: float, reach: float, row_bytes: Sequence[int], seconds_per_atom: float
) -> dict[str, float]:
    """Project a cube of atoms in a large box divided in all directions: compute time as measured, the rest counted.

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
