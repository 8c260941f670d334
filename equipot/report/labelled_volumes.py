"""Among labelled frames: a crystal at rest, and the same crystal at other volumes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.eos import EquationOfState

from equipot.structures.frame import Frame

MOST_ATOMS = 100
AT_REST = 0.05  # eV/Å
SAME = 2e-3  # relative to a cell vector
NEAR = 0.045  # relative length around the minimum that a Birch-Murnaghan curve is fitted to


def find_crystal(frames: Sequence[Frame], known: Sequence[int]) -> tuple[Frame | None, str]:
    """The frame to start a crystal from, or why there is none.

    Of the periodic frames of known elements whose labelled forces are small: those with the atoms of the first one, and
    of these the one with the lowest energy.
    """
    if not frames:
        return None, "no structure and no data were given; name a crystal with --structure"
    periodic = [
        f for f in frames if f.pbc.all() and 0 < len(f) <= MOST_ATOMS and set(f.numbers) <= set(known)
    ]
    if not periodic:
        return None, (
            f"no frame of the data is periodic in all directions with at most {MOST_ATOMS} atoms of the model's "
            "elements; name a crystal with --structure"
        )
    resting = [
        f
        for f in periodic
        if f.forces is not None and np.linalg.norm(f.forces, axis=1).max(initial=0.0) < AT_REST
    ]
    if resting:
        alike = [f for f in resting if sorted(f.numbers) == sorted(resting[0].numbers)]
        return min(alike, key=lambda f: np.inf if f.energy is None else f.energy), ""
    return None, f"no frame of the data has forces below {AT_REST} eV/Å; name a crystal with --structure"


@dataclass(frozen=True)
class LabelledVolumes:
    """A crystal at several volumes, from labels."""

    frames: list[Frame]
    volumes: np.ndarray  # Shape: (n,), Å³/atom, ascending
    energies: np.ndarray  # Shape: (n,), eV/atom

    def fit(self) -> tuple[float, float] | None:
        """Volume (Å³/atom) and bulk modulus (GPa) by Birch and Murnaghan; None where the minimum is not among them."""
        lowest = self.volumes[self.energies.argmin()]
        near = np.abs((self.volumes / lowest) ** (1 / 3) - 1) < NEAR
        if near.sum() < 5:
            return None
        v, e = self.volumes[near], self.energies[near]
        try:
            volume, _, modulus = EquationOfState(v, e, eos="birchmurnaghan").fit(warn=False)
        except (ValueError, RuntimeError):
            return None
        return (float(volume), float(modulus / units.GPa)) if v[0] < volume < v[-1] else None


def labelled_volumes(frames: Sequence[Frame], crystal: Atoms) -> LabelledVolumes | None:
    """Frames that are the crystal in another size: the same atoms, scaled positions and shape, with an energy."""
    scaled = crystal.get_scaled_positions()
    found = []
    for frame in frames:
        if frame.energy is None or not frame.pbc.all() or not np.array_equal(frame.numbers, crystal.numbers):
            continue
        ratio = np.linalg.solve(crystal.cell.array, frame.cell)
        if np.abs(ratio / ratio[0, 0] - np.eye(3)).max() > SAME:
            continue
        apart = np.linalg.solve(frame.cell.T, frame.positions.T).T - scaled
        apart -= apart[0]  # the origin may be elsewhere
        if np.abs(apart - np.round(apart)).max() < SAME:
            found.append(frame)
    if len(found) < 2:
        return None
    found.sort(key=lambda f: f.volume)
    volumes = np.array([f.volume / len(f) for f in found])
    return LabelledVolumes(
        found, volumes, np.array([f.energy / len(f) for f in found if f.energy is not None])
    )
