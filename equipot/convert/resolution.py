"""The choice of radial splines that reproduce the radial networks of a potential."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from equipot.contract import Inputs
from equipot.errors import ModelFileError
from equipot.model_file.metadata import FORMAT_VERSION
from equipot.model_file.module import DeployedPotential
from equipot.model_file.script import inputs_of
from equipot.model_file.selftest import make_structures, structure_of
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from equipot.network.variants import with_knots

# (order, intervals), in the order of the time of a molecular dynamics step. A quintic spline reads 1.5 times as many
# numbers per edge. Long tables do not fit into the cache. In float32 the slope between two close knots has few digits:
# cubic splines with 1000 knots double the rounding error of forces.
CANDIDATES = [(2, 128), (2, 256), (3, 128), (3, 192), (3, 256), (3, 384), (3, 512), (3, 1024)]
EXACT = 2048  # intervals of the reference splines, which reproduce the network
SMALLEST_TOLERANCE = 1e-7  # eV/Å; `EXACT` is not accurate enough for smaller ones
# Lattices have bonding distances times these factors: dense to sparse.
STRETCHES = (0.8, 1.0, 1.25)
# eV/Å; structures with larger forces are left out, as networks do not extrapolate to atoms that overlap.
LARGEST_FORCE = 100.0
CUBE = np.array(np.meshgrid(*[[0.0, 1.0]] * 3)).reshape(3, -1).T


@dataclass(frozen=True)
class Resolution:
    """A choice of splines, and the largest change of a force component (eV/Å) that it causes."""

    spline_order: int
    n_knots: int
    difference: float


def choose_resolution(potential: Potential, tolerance: float) -> tuple[Potential, Resolution]:
    """Return the potential with the fastest splines that change no force by more than half the tolerance (eV/Å).

    Half, because other structures can be worse than those compared. These are jittered crystals that mix elements, and
    clusters of each element, at 0.8 to 1.25 times bonding distances, if their forces are below 100 eV/Å. The reference
    has splines so fine that they reproduce the network. All forces are computed in float64.

    Raise ModelFileError if no candidate is accurate enough, or the tolerance is below 1e-7 eV/Å.
    """
    if not tolerance >= SMALLEST_TOLERANCE:
        raise ModelFileError(f"the tolerance is {tolerance:g} eV/Å; expected {SMALLEST_TOLERANCE:g} or more")
    reference = _forces(with_knots(potential, 3, EXACT))
    compared = [k for k, forces in enumerate(reference) if np.abs(forces).max() <= LARGEST_FORCE]
    if not compared:
        raise ModelFileError(
            f"the model has forces above {LARGEST_FORCE:g} eV/Å in every structure that splines are compared on; "
            "it is damaged or was not trained"
        )
    worst = np.inf
    for order, intervals in CANDIDATES:
        candidate = with_knots(potential, order, intervals)
        forces = _forces(candidate)
        worst = float(np.max([np.abs(forces[k] - reference[k]).max() for k in compared]))
        if worst <= 0.5 * tolerance:
            return candidate, Resolution(order, candidate.spec.n_knots, worst)
    raise ModelFileError(
        f"splines of {CANDIDATES[-1][1]} intervals still change forces by {worst:.1e} eV/Å; give a larger tolerance"
    )


def _forces(potential: Potential) -> list[np.ndarray]:
    tabulated = DeployedPotential(potential, FORMAT_VERSION)  # it computes its tables once
    return [predict(tabulated, inputs).forces.numpy() for inputs in _structures(potential)]


def _structures(potential: Potential) -> Iterator[Inputs]:
    """Yield crystals that mix elements, and a cluster of each element, which has the shortest bonds."""
    for structure in [*make_structures(potential.type_names), *_clusters(potential.type_names)]:
        for stretch in STRETCHES:
            positions = (stretch * np.array(structure["positions"])).tolist()
            cell = (stretch * np.array(structure["cell"])).tolist()
            moved = {**structure, "positions": positions, "cell": cell}
            yield inputs_of(structure_of(moved, potential.cutoff))


def _clusters(type_names: Sequence[str]) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(3)
    for k, name in enumerate(type_names):
        spacing = 2.2 * covalent_radii[atomic_numbers[name]]
        positions = spacing * (CUBE + rng.uniform(-0.12, 0.12, CUBE.shape))
        yield {
            "species": [k] * len(CUBE),
            "positions": positions.tolist(),
            "cell": np.zeros((3, 3)).tolist(),
            "pbc": [False] * 3,
        }
