"""The curvature of a training set's loss in the last weights of a network, which its energies and forces are linear in.

With the scale s_i of the element of atom i and its features h_i before the last linear map, energies are w·Φ and forces
w·J_a, where

    Φ = Σ_i s_i h_i,    J_a = -∂Φ/∂r_a.

The curvature of a loss of squared errors with the weights λ_E and λ_F is

    C = Σ_frames ( λ_E (Φ/N)(Φ/N)ᵀ + λ_F Σ_a J_a J_aᵀ )

(Bigi et al., Mach. Learn.: Sci. Technol. 5, 045018 (2024), equation 24, extended by forces). Σ_a J_a J_aᵀ is the mean
of g gᵀ over random signs v, where g = Σ_a v_a J_a is the derivative of Φ along -v (Hutchinson's estimate). It takes two
evaluations for each draw of signs, in place of one backward pass for each feature.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from equipot import native
from equipot.data.graph import Graph
from equipot.errors import ConfigError, DataError
from equipot.network.potential import Potential
from equipot.network.variants import with_members, with_precision, without_uncertainty
from equipot.runtime import RuntimeModel
from equipot.uncertainty.grade import shuffled

PROBES = 4  # draws of signs for each frame, at least
DRAWS = 4  # for each feature, at least
STEP = 1e-4  # Å, of the difference quotient along them

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Curvature:
    """The curvature (d, d) of the loss of some frames."""

    matrix: Reals
    frames: int


@dataclass(frozen=True)
class Jacobian:
    """The features of a graph, their derivatives, and its energy and forces."""

    features: Reals  # Φ, (d,)
    jacobian: Reals  # J, (n_atoms, 3, d)
    energy: float  # eV
    forces: Reals  # (n_atoms, 3) eV/Å


class LastLayer:
    """The features of a network as functions of positions.

    Args:
        potential: on the CPU.
        dtype: of the evaluation.

    Raises:
        ConfigError: the runtime cannot evaluate the network.
    """

    def __init__(self, potential: Potential, dtype: str) -> None:
        plain = with_precision(without_uncertainty(potential), dtype)  # type: ignore[arg-type]
        d = plain.read.width
        each = torch.eye(d, dtype=torch.float64)
        program = with_members(plain, each, each).program()
        if program is None or not native.available():
            raise ConfigError(
                "predicted errors need the compiled kernels; install equipot where a C++ compiler is"
            )
        self.width = d
        self._model = RuntimeModel.from_program(program)

    def features(self, graph: Graph, moved: Reals | None = None) -> Reals:
        """Return Φ (d,) of a graph, whose atoms are moved by (n_atoms, 3) Å."""
        index, vectors = graph.edge_index.numpy().astype(np.int64), graph.edge_vectors.numpy()
        if moved is not None:
            vectors = vectors + moved[index[1]] - moved[index[0]]
        e = self._model.evaluate(
            graph.species.numpy(), index, vectors, native.threads(), gradient=False, deviation=True
        )
        assert e.deviation is not None
        return e.deviation

    def jacobian(self, graph: Graph) -> "Jacobian":
        """Return the derivatives of Φ of a graph, by one backward pass for each feature."""
        index, vectors = graph.edge_index.numpy().astype(np.int64), graph.edge_vectors.numpy()
        j = np.empty((graph.n_atoms, 3, self.width))

        def keep(k: int, gradient: Reals) -> None:
            j[:, :, k] = native.collect(gradient, vectors, index, None, graph.n_atoms)[0]

        e = self._model.evaluate(
            graph.species.numpy(), index, vectors, native.threads(), deviation=True, member=keep
        )
        assert e.deviation is not None
        assert e.edge_gradient is not None
        forces, _ = native.collect(e.edge_gradient, vectors, index, None, graph.n_atoms)
        return Jacobian(e.deviation, j, float(e.energies.sum()), forces)


def curvature(
    layer: LastLayer,
    graphs: Sequence[Graph],
    weights: tuple[float, float],
    probes: int | None = None,
    seconds: float | None = None,
    seed: int = 1,
) -> Curvature:
    """Return the curvature of graphs, divided by their number.

    Args:
        layer: in float64.
        graphs: of training frames, in an order that does not matter.
        weights: of the loss: of the mean squared error of energies per atom (eV²), and of force components (eV²/Å²).
        probes: draws of signs for each graph; None: 4, and more for few graphs.
        seconds: time after which no further graph is used; None: no limit.
        seed: of the signs.

    Raises:
        DataError: there are fewer force components than features.
    """
    if probes is None:
        probes = max(PROBES, math.ceil(DRAWS * layer.width / max(len(graphs), 1)))
    rng, begin = np.random.default_rng(seed), time.perf_counter()
    of_energies, of_forces = np.zeros((layer.width,) * 2), np.zeros((layer.width,) * 2)
    frames = components = 0
    for graph in with_edges(shuffled(graphs)):
        phi = layer.features(graph) / graph.n_atoms
        of_energies += np.outer(phi, phi)
        for _ in range(probes):
            v = STEP * rng.choice([-1.0, 1.0], (graph.n_atoms, 3))
            g = (layer.features(graph, v) - layer.features(graph, -v)) / (2 * STEP)
            of_forces += np.outer(g, g) / probes
        frames += 1
        components += 3 * graph.n_atoms
        over = seconds is not None and time.perf_counter() - begin > seconds
        if over and frames * probes >= layer.width:
            break
    if components < layer.width:
        raise DataError(
            f"{components} force components are too few for predicted errors with {layer.width} features; "
            "expected more and larger frames"
        )
    energies, forces = weights
    return Curvature(energies * of_energies / frames + forces * of_forces / components, frames)


def with_edges(graphs: Iterable[Graph]) -> Iterator[Graph]:
    """Yield the graphs that have edges: isolated atoms serve as reference energies."""
    return (g for g in graphs if g.n_edges)
