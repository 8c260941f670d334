"""The distances below which the repulsive core of `network.core` begins."""

from collections.abc import Sequence

from ase.data import atomic_numbers, covalent_radii

# The radius of an atom in a van der Waals contact exceeds its covalent radius by about 0.8 Å (Pauling, The Nature of
# the Chemical Bond, 3rd edition, 1960, chapter 7-12). Atoms further apart than that have no core.
CONTACT = 1.6
# The core begins at this fraction of the shortest distance in the data. In other frames at the same temperature, some
# bonds are a few percent shorter. There the network is still right, and the core would add to its repulsion.
MARGIN = 0.97


def core_radii(
    type_names: Sequence[str], shortest: Sequence[Sequence[float | None]] | None, cutoff: float
) -> list[list[float]]:
    """Return the core radii of all pairs of elements in Å: (n_species, n_species), symmetric.

    The radius of a pair is a little less than its shortest distance in the data, but at most that of a van der Waals
    contact. The radius of a pair that the data lack is the sum of its covalent radii.

    Args:
        type_names: elements.
        shortest: (n_species, n_species) Å, the shortest distance of each pair in the data; None for a pair that they
            lack. None: nothing is known.
        cutoff: Å, the longest radius.
    """
    covalent = [float(covalent_radii[atomic_numbers[name]]) for name in type_names]

    def radius(i: int, j: int) -> float:
        bond, known = covalent[i] + covalent[j], shortest[i][j] if shortest else None
        return min(bond if known is None else MARGIN * known, bond + CONTACT, cutoff)

    return [[radius(i, j) for j in range(len(type_names))] for i in range(len(type_names))]
