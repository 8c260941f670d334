"""What a cluster's network would have to carry, counted from the geometry of subdomains."""

from dataclasses import dataclass

COORDINATES = 24  # bytes: LAMMPS sends positions of ghosts, and their forces back


@dataclass(frozen=True)
class Volume:
    """Of one rank and one step."""

    ghosts: float  # atoms of other ranks within its halo
    messages: int  # exchanges, each with the neighbours on six sides
    received_bytes: float


def halo(edges: tuple[float, float, float], reach: float, divided: tuple[bool, bool, bool]) -> float:
    """Volume (Å³) around a box within `reach` (Å) that other ranks own: across a direction that is not divided lie
    images of what this rank has anyway, which count once."""
    inner = outer = 1.0
    for edge, cut in zip(edges, divided):
        inner *= edge
        outer *= edge + 2 * reach if cut else edge
    return outer - inner


def volume(ghosts: float, row_bytes: list[int]) -> Volume:
    """row_bytes: of what travels to each layer but the first; each goes out, and its gradient comes back."""
    exchanges = 2 * len(row_bytes)
    received = ghosts * (2 * sum(row_bytes) + 2 * COORDINATES)
    return Volume(ghosts, exchanges + 2, received)


def projected(
    atoms_per_rank: int, density: float, reach: float, row_bytes: list[int], seconds_per_atom: float
) -> dict[str, float]:
    """A cube of atoms divided in all directions: compute from a measurement, communication from counts.

    density: atoms/Å³. `bandwidth` is the bytes per second a rank must get so that the transfer takes a tenth of
    the time of its own atoms.
    """
    edge = (atoms_per_rank / density) ** (1 / 3)
    counted = volume(density * halo((edge,) * 3, reach, (True,) * 3), row_bytes)
    compute = atoms_per_rank * seconds_per_atom
    return {
        "atoms": atoms_per_rank,
        "edge": edge,
        "ghosts": counted.ghosts,
        "exchanges": counted.messages,
        "received_bytes": counted.received_bytes,
        "compute_seconds": compute,
        "bandwidth": counted.received_bytes / (0.1 * compute),
    }
