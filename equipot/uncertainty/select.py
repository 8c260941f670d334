"""The choice of frames to label next: those whose atoms are unlike the training set, and unlike each other.

Let g = A (h - μ) be the whitened features of an atom, whose length is its extrapolation grade (`network.grade`). For
each element, K = 1 + Σ g gᵀ sums up what is known: the unit ball is the training set, and each chosen frame adds its
atoms. The next frame is the one with the largest gᵀ K⁻¹ g of one of its atoms. This is the greedy choice of D-optimal
design (Fedorov, Theory of Optimal Experiments, 1972): the determinant of K grows fastest by that atom. A frame that
resembles a chosen one has little left, so neighbours in time are not taken twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from equipot.data.graph import Graph, collate
from equipot.errors import ConfigError
from equipot.network.potential import Potential
from equipot.ops import topology


@dataclass(frozen=True)
class Chosen:
    """A chosen frame and the atom for which it was chosen."""

    frame: int
    grade: float  # the highest of the frame
    atom: int
    left: float  # grade of the atom that frames chosen before do not explain


@dataclass(frozen=True)
class _Candidate:
    frame: int
    species: np.ndarray  # (n_atoms,)
    whitened: np.ndarray  # (n_atoms, d)
    grade: float  # the highest


def select(
    potential: Potential,
    graphs: Iterable[Graph],
    n: int,
    lowest: float = 0.0,
    highest: float = np.inf,
) -> list[Chosen]:
    """Choose at most n graphs, the most informative one first.

    Args:
        potential: with extrapolation grades.
        graphs: the candidates.
        n: number of graphs.
        lowest, highest: only graphs whose highest grade lies between them are candidates. Atoms with a high grade often
            come from a simulation that has fallen apart, and their labels teach little.

    Raises:
        ConfigError: the potential has no grades.
    """
    if potential.grade is None:
        raise ConfigError("the model gives no extrapolation grades; add them with `equipot uncertainty`")
    candidates = [c for c in _candidates(potential, graphs) if lowest <= c.grade <= highest]
    d = potential.read.width
    known = np.tile(np.eye(d), (potential.n_species, 1, 1))
    # An element without training atoms is explained by nothing, until a frame with it is chosen.
    new = set(np.flatnonzero(~np.isfinite(potential.grade.penalty.numpy())).tolist())
    chosen: list[Chosen] = []
    while candidates and len(chosen) < n:
        inverse = np.linalg.inv(known)
        left = [_left(c, inverse, new) for c in candidates]
        best = int(np.argmax([values.max(initial=0.0) for values in left]))
        c, values = candidates.pop(best), left[best]
        atom = int(values.argmax()) if len(values) else 0
        chosen.append(Chosen(c.frame, c.grade, atom, float(np.sqrt(values.max(initial=0.0)))))
        for k in np.unique(c.species):
            g = c.whitened[c.species == k]
            known[k] += g.T @ g
        new -= set(c.species.tolist())
    return chosen


def _left(candidate: _Candidate, inverse: np.ndarray, new: set[int]) -> np.ndarray:
    """Return gᵀ K⁻¹ g of each atom; infinite for new elements."""
    result = np.zeros(len(candidate.species))
    for k in np.unique(candidate.species):
        mine = candidate.species == k
        g = candidate.whitened[mine]
        result[mine] = np.inf if k in new else np.einsum("na,na->n", g @ inverse[k], g)
    return result


@torch.no_grad()
def _candidates(potential: Potential, graphs: Iterable[Graph]) -> Sequence[_Candidate]:
    grade = potential.grade
    assert grade is not None
    result = []
    for k, graph in enumerate(graphs):
        inputs = collate([graph]).inputs
        n_atoms = inputs.species.shape[0]
        features = potential.last_features(inputs, topology(inputs.edge_index, n_atoms, n_atoms))
        whitened = grade.whitened(features, inputs.species).to(torch.float64).numpy()
        grades = grade(features, inputs.species).numpy()
        result.append(_Candidate(k, inputs.species.numpy(), whitened, float(grades.max(initial=0.0))))
    return result
