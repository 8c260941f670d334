"""Run by a Python that has nequix: writes small random models as files, and what Nequix says of them in float64.

    python nequix_models.py REQUEST.json

The request holds `folder`, `structures` (a file of ASE), `numbers` (atomic numbers) and `models`: name to options of
Nequix. For every name there will be NAME.nqx, and NAME.npz with energies, forces and stresses by structure.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"

import ase.io
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from nequix.model import Nequix, save_model

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.foundation.nequix_calculator import GraphCalculator


def main(request: dict[str, Any]) -> None:
    folder = Path(request["folder"])
    # All of them before the first evaluation, which switches jax to float64.
    for seed, (name, options) in enumerate(request["models"].items()):
        write(folder / f"{name}.nqx", options, request["numbers"], seed)
    structures = ase.io.read(request["structures"], index=":")
    for name in request["models"]:
        calculator, results = GraphCalculator(folder / f"{name}.nqx", "float64"), {}
        for k, atoms in enumerate(structures):
            calculator.calculate(atoms)
            results |= {f"{quantity}_{k}": value for quantity, value in calculator.results.items()}
        np.savez(folder / f"{name}.npz", **results)


def write(path: Path, options: dict[str, Any], numbers: list[int], seed: int) -> None:
    """A file as Nequix's trainer writes it, of a network with random weights."""
    key, norms, energies = jax.random.split(jax.random.key(seed), 3)
    n = len(numbers)
    atom_energies = jax.random.normal(energies, (n,))
    model = Nequix(key, n_species=n, atom_energies=atom_energies, **options)

    def other_weights(leaf: Any) -> Any:  # those of layer norms start at one
        return jax.random.normal(norms, leaf.shape) if eqx.is_array(leaf) and leaf.ndim == 1 else leaf

    layers = jax.tree.map(other_weights, model.layers)
    model = eqx.tree_at(lambda m: m.layers, model, layers)
    kept = {str(z): float(e) for z, e in zip(sorted(numbers), jnp.asarray(atom_energies), strict=True)}
    save_model(
        str(path), model, {"atomic_numbers": numbers, "atom_energies": kept, "optimizer": "muon", **options}
    )


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
