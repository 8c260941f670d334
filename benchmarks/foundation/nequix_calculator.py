"""Nequix's own calculator, and its network in float32 and float64; needs nequix."""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import equinox as eqx
import jax
import jraph
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.stress import full_3x3_to_voigt_6_stress
from nequix.calculator import NequixCalculator
from nequix.data import atomic_numbers_to_indices, dict_to_graphstuple, preprocess_graph
from nequix.model import load_model


def in_vacuum(atoms: Atoms, cutoff: float) -> Atoms:
    """Return atoms that are periodic in some directions as atoms in a cell that is periodic in all.

    Nequix leaves out the cell where a direction is not periodic, so neighbours in other cells would be at wrong places.
    """
    if atoms.pbc.all() or not atoms.pbc.any():
        return atoms
    wide = atoms.copy()
    cell = np.array(atoms.cell.array)
    for k in np.flatnonzero(~atoms.pbc):
        normal = np.cross(cell[k - 2], cell[k - 1])
        normal /= np.linalg.norm(normal)
        cell[k] = normal * (np.ptp(atoms.positions @ normal) + 2 * cutoff)
    wide.set_cell(cell)
    wide.pbc = True
    return wide


class GraphCalculator(Calculator):
    """The network of a file, compiled by jax for the CPU, in float32 or float64.

    In float64, positions and cells have it, too, and the constants of the network, which follow jax's precision.
    """

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, path: str | Path, dtype: str) -> None:
        super().__init__()
        self.double = dtype == "float64"
        jax.config.update("jax_enable_x64", False)  # Nequix reads files in float32 alone
        model, config = load_model(str(path), kernel=False)
        self.cutoff, self.indices = config["cutoff"], atomic_numbers_to_indices(config["atomic_numbers"])
        jax.config.update("jax_enable_x64", self.double)
        self.model = jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_array(leaf) else leaf, model)
        self.compiled = eqx.filter_jit(lambda model, graph: model(graph))

    def calculate(self, atoms: Atoms, properties: Any = ("energy",), system_changes: Any = ()) -> None:
        self.atoms, whole = atoms.copy(), atoms.pbc.all()
        jax.config.update("jax_enable_x64", self.double)
        atoms = in_vacuum(atoms, self.cutoff)
        graph = preprocess_graph(atoms, self.indices, self.cutoff, False)
        if self.double:
            graph["positions"], graph["shifts"] = atoms.positions.copy(), graph["shifts"].astype(np.float64)
            if graph["cell"] is not None:
                graph["cell"] = np.array(atoms.cell.array)
        # Few sizes, as jax compiles for each of them.
        n_node, n_edge = _size(len(atoms) + 1, 8, 8), _size(int(graph["n_edge"][0]) + 1, 256, 4)
        padded = jraph.pad_with_graphs(dict_to_graphstuple(graph), n_node, n_edge, n_graph=2)
        energy, forces, stress = self.compiled(self.model, padded)
        self.results = {"energy": float(energy[0]), "forces": np.array(forces[: len(atoms)])}
        if stress is not None and whole:
            self.results["stress"] = full_3x3_to_voigt_6_stress(np.array(stress[0]))


def _size(n: int, least: int, factor: int) -> int:
    """Return the smallest of least, least · factor, least · factor², … that is not below n."""
    while least < n:
        least *= factor
    return least


class TimedCalculator(NequixCalculator):
    """Nequix's own calculator: float32, compiled by jax for the CPU."""

    def __init__(self, path: str | Path) -> None:
        jax.config.update("jax_enable_x64", False)
        super().__init__(model_path=str(path), backend="jax", use_kernel=False)
