"""The self-test: small structures with the results that the model gave when its file was written."""

from typing import Any

import numpy as np
import torch
from ase.data import atomic_numbers, covalent_radii
from torch import nn

from equipot.contract import Inputs, on_device
from equipot.errors import ModelFileError
from equipot.neighbours import neighbour_list
from equipot.network.derivatives import predict

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


def inputs_of(structure: dict[str, Any], cutoff: float) -> Inputs:
    """Return a structure of `make_structures` as the input of a potential."""
    positions, cell = np.array(structure["positions"]), np.array(structure["cell"])
    pbc = np.array(structure["pbc"])
    edge_index, _, vectors = neighbour_list(positions, cell, pbc, cutoff)
    species = torch.tensor(structure["species"])
    return Inputs(
        species,
        torch.from_numpy(edge_index),
        torch.from_numpy(vectors),
        torch.from_numpy(positions),
        torch.from_numpy(cell)[None],
        torch.from_numpy(pbc)[None],
        torch.zeros_like(species),
    )


def _run(module: nn.Module, structure: dict[str, Any], cutoff: float, device: torch.device) -> dict[str, Any]:
    p = predict(module, on_device(inputs_of(structure, cutoff), device))
    return {"atomic_energies": p.atomic_energies, "forces": p.forces, "virial": p.virial[0]}


def record(module: nn.Module, type_names: list[str], cutoff: float) -> list[dict[str, Any]]:
    """Return self-test structures with the module's atomic energies (eV), forces (eV/Å) and virials (eV)."""
    recorded = []
    for structure in make_structures(type_names):
        results = _run(module, structure, cutoff, torch.device("cpu"))
        recorded.append({**structure, **{k: v.tolist() for k, v in results.items()}})
    return recorded


def verify(
    module: nn.Module,
    recorded: list[dict[str, Any]],
    cutoff: float,
    tolerance: float,
    device: torch.device,
    where: str,
) -> float:
    """Return the largest difference from the recorded results, in units of max(1, largest |result|).

    Raise ModelFileError when it exceeds the tolerance, or when the file holds no self-test.
    """
    if not recorded:
        raise ModelFileError(f"{where}: holds no self-test, so it cannot be trusted; export the model again")
    worst = 0.0
    for structure in recorded:
        for name, value in _run(module, structure, cutoff, device).items():
            expected = np.array(structure[name])
            difference = np.abs(value.cpu().numpy() - expected).max() / max(1.0, np.abs(expected).max())
            worst = max(worst, float(difference))
            if not difference <= tolerance:
                raise ModelFileError(
                    f"{where}: the {name.replace('_', ' ')} of its self-test differ by {difference:.1e} from the "
                    f"recorded values (rounding explains at most {tolerance:.0e}); export the model again"
                )
    return worst
