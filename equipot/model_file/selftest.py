"""Small structures with the numbers the model gave when it was written; every load computes them again."""

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
    """Jittered cubic lattices at bonding distances that show every species, periodic in 3, 2 and 0 directions."""
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
    """Return one of `make_structures` as the input of a potential."""
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
    """Self-test structures with atomic energies (eV), forces (eV/Å) and virial (eV) as the module gives them."""
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
    """Largest difference to the recorded numbers, in units of max(1, |number|).

    Raises ModelFileError when it exceeds the tolerance, or when there is nothing to compare with.
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
                    f"{where}: its self-test gives {name.replace('_', ' ')} that differ by {difference:.1e} from those "
                    f"recorded when it was written (at most {tolerance:.0e} is rounding); export the model again"
                )
    return worst
