"""The self-test: small structures with the results that the model gave when its file was written."""

from collections.abc import Callable
from typing import Any

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from equipot.errors import ModelFileError
from equipot.model_file.structure import Derivatives, Results, Structure
from equipot.neighbours import neighbour_list
from equipot.quantities import ENERGIES

# Tolerances relative to the largest value (at least 1). They allow for the rounding of another machine or device.
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
ATOMS_PER_STRUCTURE = 8
MOST_STRUCTURES = 12


def make_structures(type_names: list[str], seed: int = 7) -> list[dict[str, Any]]:
    """Return jittered cubic lattices at bonding distances, periodic in 3, 2 and 0 directions, with all species."""
    rng = np.random.default_rng(seed)
    n = max(3, min(MOST_STRUCTURES, -(-len(type_names) // ATOMS_PER_STRUCTURE)))
    structures = []
    for k in range(n):
        species = [(k * ATOMS_PER_STRUCTURE + i) % len(type_names) for i in range(ATOMS_PER_STRUCTURE)]
        radius = float(np.mean([covalent_radii[atomic_numbers[type_names[s]]] for s in species]))
        spacing = 2.2 * radius
        corners = np.array(np.meshgrid(*[[0.0, 1.0]] * 3)).reshape(3, -1).T
        positions = spacing * (corners + rng.uniform(-0.12, 0.12, corners.shape))
        cell = spacing * (2 * np.eye(3) + rng.uniform(-0.15, 0.15, (3, 3)))
        pbc = ([True] * 3, [True, True, False], [False] * 3)[k % 3]
        structures.append(
            {"species": species, "positions": positions.tolist(), "cell": cell.tolist(), "pbc": list(pbc)}
        )
    return structures


def structure_of(recorded: dict[str, Any], cutoff: float) -> Structure:
    """Return a structure of `make_structures` with its edges."""
    positions, cell = np.array(recorded["positions"]), np.array(recorded["cell"])
    pbc = np.array(recorded["pbc"])
    edge_index, _, vectors = neighbour_list(positions, cell, pbc, cutoff)
    species = np.array(recorded["species"], dtype=np.int64)
    return Structure(species, edge_index, vectors, positions, cell, pbc)


def verify(
    compute: Callable[[Structure], Results],
    recorded: list[dict[str, Any]],
    cutoff: float,
    dtype: str,
    where: str,
) -> float:
    """Return the largest difference from the recorded results, in units of max(1, largest |result|).

    Raise ModelFileError when it exceeds the tolerance, or when the file holds no self-test.
    """
    if not recorded:
        raise ModelFileError(f"{where}: holds no self-test, so it cannot be trusted; export the model again")
    worst, tolerance = 0.0, TOLERANCE[dtype]
    for structure in recorded:
        for name, value in recorded_results(compute(structure_of(structure, cutoff))).items():
            expected = np.array(structure[name])
            difference = np.abs(value - expected).max() / max(1.0, np.abs(expected).max())
            worst = max(worst, float(difference))
            if not difference <= tolerance:
                raise ModelFileError(
                    f"{where}: the {name.replace('_', ' ')} of its self-test differ by {difference:.1e} from the "
                    f"recorded values (rounding explains at most {tolerance:.0e}); export the model again"
                )
    return worst


def recorded_results(results: Results) -> dict[str, Any]:
    """Return the results that a self-test records: atomic energies (eV), forces (eV/Å) and virial (eV)."""
    d = derivatives_of(results)
    return {"atomic_energies": results.outputs[ENERGIES], "forces": d.forces, "virial": d.virial}


def derivatives_of(results: Results) -> Derivatives:
    """Return the derivatives of results that were computed with them."""
    assert results.derivatives is not None
    return results.derivatives
