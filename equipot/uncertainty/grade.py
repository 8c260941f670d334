"""The fit of extrapolation grades (`network.grade`) to the atoms of a training set."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equipot.data.graph import Graph, collate
from equipot.errors import DataError
from equipot.network.potential import Potential
from equipot.network.variants import with_grade, without_uncertainty
from equipot.ops import topology

# Of the mean variance of the features; it bounds how much directions without any variance count.
RIDGE = 1e-4
# An element with fewer atoms than this times the number of features shares the covariance of all elements.
ENOUGH = 3
BATCH_EDGES = 20_000
# Atoms of an element that are enough for its grade, and atoms that are read even when the time is over.
MOST, FEWEST = 30_000, 300


@dataclass(frozen=True)
class GradeFit:
    """A potential with grades, and what they were fitted to."""

    potential: Potential
    atoms: dict[str, int]  # of each element that were used
    frames: int

    def summary(self) -> dict[str, Any]:
        """Return plain values for the metadata of a model file."""
        return {"frames": self.frames, "atoms": self.atoms}


def shuffled(graphs: Sequence[Graph]) -> Iterator[Graph]:
    """Return graphs in an order that is always the same but not that of the file."""
    order = np.random.default_rng(1).permutation(len(graphs))
    return (graphs[int(k)] for k in order)


def fit_grade(potential: Potential, graphs: Iterable[Graph], seconds: float | None = None) -> GradeFit:
    """Return the potential with extrapolation grades of the atoms in graphs.

    Isolated atoms are left out: they serve as reference energies, and are like no atom of a material.

    Args:
        potential: on the CPU.
        graphs: of training frames, with the species of the potential.
        seconds: time after which only frames with rare elements are read; None: no limit.

    Raises:
        DataError: there are fewer atoms than features, or all atoms are the same.
    """
    potential = without_uncertainty(potential).eval()
    features: list[np.ndarray] = []
    species: list[np.ndarray] = []
    frames = 0
    for batch in _batches(_needed(graphs, potential.n_species, seconds)):
        h, s = _features(potential, batch)
        features.append(h)
        species.append(s)
        frames += len(batch)
    h, s = np.concatenate(features or [np.zeros((0, 1))]), np.concatenate(species or [np.zeros(0, int)])
    return _fitted(potential, h, s, frames)


def _fitted(potential: Potential, h: np.ndarray, species: np.ndarray, frames: int) -> GradeFit:
    n_species, d = potential.n_species, potential.read.width
    counts = np.bincount(species, minlength=n_species)
    if len(h) <= d:
        raise DataError(
            f"{len(h)} atoms with neighbours are too few for extrapolation grades with {d} features; "
            f"expected more than {d}, from more or larger frames"
        )
    means = np.zeros((n_species, d))
    for k in np.flatnonzero(counts):
        means[k] = h[species == k].mean(0)
    centred = h - means[species]
    pooled = _covariance(centred)
    if not np.trace(pooled) > 1e-12 * np.square(h).mean():
        raise DataError("all atoms of an element have the same surroundings, so there is no range to grade")
    factors, penalty = np.zeros((n_species, d, d)), np.full(n_species, np.inf)
    for k in np.flatnonzero(counts):
        own = centred[species == k]
        covariance = _covariance(own) if counts[k] >= ENOUGH * d else pooled
        factor = np.linalg.inv(np.linalg.cholesky(_with_ridge(covariance, np.trace(pooled) / d)))
        factors[k] = factor.T / max(np.linalg.norm(own @ factor.T, axis=1).max(), 1e-12)
        penalty[k] = 0.0
    tensors = (
        torch.from_numpy(a).to(potential.dtype) for a in (means, factors.reshape(n_species, -1), penalty)
    )
    atoms = {name: int(n) for name, n in zip(potential.type_names, counts, strict=True)}
    return GradeFit(with_grade(potential, *tensors), atoms, frames)


def _covariance(centred: np.ndarray) -> np.ndarray:
    return centred.T @ centred / len(centred)


def _with_ridge(covariance: np.ndarray, typical: float) -> np.ndarray:
    d = len(covariance)
    return covariance + RIDGE * max(np.trace(covariance) / d, RIDGE * typical) * np.eye(d)


def _needed(graphs: Iterable[Graph], n_species: int, seconds: float | None) -> Iterator[Graph]:
    """Yield the graphs that have an element of which more atoms are needed."""
    counts, begin = np.zeros(n_species, dtype=np.int64), time.perf_counter()
    for graph in graphs:
        over = seconds is not None and time.perf_counter() - begin > seconds
        of_graph = np.bincount(graph.species.numpy(), minlength=n_species)
        if (counts[of_graph > 0] < (FEWEST if over else MOST)).any():
            counts += of_graph
            yield graph


def _batches(graphs: Iterable[Graph]) -> Iterable[list[Graph]]:
    batch: list[Graph] = []
    for graph in graphs:
        if batch and sum(g.n_edges for g in batch) + graph.n_edges > BATCH_EDGES:
            yield batch
            batch = []
        batch.append(graph)
    if batch:
        yield batch


@torch.no_grad()
def _features(potential: Potential, graphs: Sequence[Graph]) -> tuple[np.ndarray, np.ndarray]:
    """Return the features before the last linear map, float64, and the species of atoms with neighbours."""
    inputs = collate(graphs).inputs
    n_atoms = inputs.species.shape[0]
    graph = topology(inputs.edge_index, n_atoms, n_atoms)
    features: Tensor = potential.last_features(inputs, graph)
    bonded = (graph.rowptr.diff() > 0).numpy()
    return features.to(torch.float64).numpy()[bonded], inputs.species.numpy()[bonded]
