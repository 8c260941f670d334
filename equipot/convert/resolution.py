"""How finely radial splines must be knotted for a potential to be what its radial networks say."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from equipot.contract import Inputs
from equipot.errors import ModelFileError
from equipot.model_file.metadata import FORMAT_VERSION
from equipot.model_file.module import DeployedPotential
from equipot.model_file.selftest import inputs_of, make_structures
from equipot.network.derivatives import predict
from equipot.network.potential import Potential
from equipot.network.variants import with_knots

# (order, intervals), by what a step of molecular dynamics costs with them: a quintic spline reads half as much again
# for every edge. Long tables do not stay in the cache next to the processor, and in float32 the slope between two
# close knots has few digits: cubic splines of 1000 knots double the rounding error of forces.
CANDIDATES = [(2, 128), (2, 256), (3, 128), (3, 192), (3, 256), (3, 384), (3, 512), (3, 1024)]
EXACT = 2048  # intervals that stand for the network itself
SMALLEST_TOLERANCE = 1e-7  # eV/Å; below, `EXACT` is not exact enough
# Lattices at these multiples of bonding distances: crowded to sparse.
STRETCHES = (0.8, 1.0, 1.25)
# eV/Å; structures with larger ones are left out: networks extrapolate wildly where atoms overlap.
LARGEST_FORCE = 100.0
CUBE = np.array(np.meshgrid(*[[0.0, 1.0]] * 3)).reshape(3, -1).T


@dataclass(frozen=True)
class Resolution:
    """A choice of splines, and the largest change of a force component (eV/Å) that it makes."""

    spline_order: int
    n_knots: int
    difference: float


def choose_resolution(potential: Potential, tolerance: float) -> tuple[Potential, Resolution]:
    """The same potential with the cheapest splines that move no force by more than half the tolerance (eV/Å).

    Compared with splines so fine that they stand for the network, in float64, on jittered crystals that mix elements
    and clusters of each, at 0.8 to 1.25 times bonding distances, as far as their forces stay below 100 eV/Å; half,
    because other structures can be worse.

    Raises ModelFileError when none of the candidates is fine enough, or the tolerance is below 1e-7 eV/Å.
    """
    if not tolerance >= SMALLEST_TOLERANCE:
        raise ModelFileError(
            f"a tolerance of {tolerance:g} eV/Å was given; expected {SMALLEST_TOLERANCE:g} or more"
        )
    reference = _forces(with_knots(potential, 3, EXACT))
    sane = [k for k, forces in enumerate(reference) if np.abs(forces).max() <= LARGEST_FORCE]
    worst = np.inf
    for order, intervals in CANDIDATES:
        candidate = with_knots(potential, order, intervals)
        forces = _forces(candidate)
        worst = float(np.max([np.abs(forces[k] - reference[k]).max() for k in sane]))
        if worst <= 0.5 * tolerance:
            return candidate, Resolution(order, candidate.spec.n_knots, worst)
    raise ModelFileError(
        f"splines of {CANDIDATES[-1][1]} intervals still move forces by {worst:.1e} eV/Å; give a larger tolerance"
    )


def _forces(potential: Potential) -> list[np.ndarray]:
    tabulated = DeployedPotential(potential, FORMAT_VERSION)  # computes its tables once
    return [predict(tabulated, inputs).forces.numpy() for inputs in _structures(potential)]


def _structures(potential: Potential) -> Iterator[Inputs]:
    """Crystals that mix elements, and a cluster of each alone, where the shortest bonds are."""
    for structure in [*make_structures(potential.type_names), *_clusters(potential.type_names)]:
        for stretch in STRETCHES:
            positions = (stretch * np.array(structure["positions"])).tolist()
            cell = (stretch * np.array(structure["cell"])).tolist()
            yield inputs_of({**structure, "positions": positions, "cell": cell}, potential.cutoff)


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
