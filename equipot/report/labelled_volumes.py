"""Search of labelled frames for a crystal with small forces, and for the crystal at other volumes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.eos import EquationOfState

from equipot.structures.frame import Frame

MOST_ATOMS = 100
AT_REST = 0.05  # eV/Å
SAME = 2e-3  # largest relative difference of cell vectors and scaled positions
NEAR = 0.045  # relative range of lengths around the minimum for the Birch-Murnaghan fit


def find_crystal(frames: Sequence[Frame], known: Sequence[int]) -> tuple[Frame | None, str]:
    """Find the frame to start a crystal from.

    The first periodic frame with known elements and small labelled forces determines the composition. The result is the
    frame with the lowest energy among all such frames of this composition.

    Args:
        frames: the labelled frames.
        known: atomic numbers of the model's elements.

    Returns:
        the frame and an empty text, or None and the reason why there is no such frame.
    """
    if not frames:
        return None, "no structure and no data were given; give a crystal with --structure"
    periodic = [
        f for f in frames if f.pbc.all() and 0 < len(f) <= MOST_ATOMS and set(f.numbers) <= set(known)
    ]
    if not periodic:
        return None, (
            f"no frame of the data is periodic in all directions with at most {MOST_ATOMS} atoms of the model's "
            "elements; give a crystal with --structure"
        )
    resting = [
        f
        for f in periodic
        if f.forces is not None and np.linalg.norm(f.forces, axis=1).max(initial=0.0) < AT_REST
    ]
    if resting:
        same_atoms = [f for f in resting if sorted(f.numbers) == sorted(resting[0].numbers)]
        return min(same_atoms, key=lambda f: np.inf if f.energy is None else f.energy), ""
    return None, f"no frame of the data has forces below {AT_REST} eV/Å; give a crystal with --structure"


@dataclass(frozen=True)
class LabelledVolumes:
    """The labelled frames of a crystal at several volumes."""

    frames: list[Frame]
    volumes: np.ndarray  # Shape: (n,), Å³/atom, ascending
    energies: np.ndarray  # Shape: (n,), eV/atom

    def fit(self) -> tuple[float, float] | None:
        """Fit a Birch-Murnaghan curve. Return None if there are too few volumes or the minimum is outside their range.

        Returns:
            volume in Å³/atom and bulk modulus in GPa.
        """
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
    """Find the labelled frames that are the crystal at another volume; None if there are fewer than two.

    They have an energy and the atoms, the scaled positions and the shape of the crystal.
    """
    scaled = crystal.get_scaled_positions()
    matches = []
    for frame in frames:
        if frame.energy is None or not frame.pbc.all() or not np.array_equal(frame.numbers, crystal.numbers):
            continue
        ratio = np.linalg.solve(crystal.cell.array, frame.cell)
        if np.abs(ratio / ratio[0, 0] - np.eye(3)).max() > SAME:
            continue
        difference = np.linalg.solve(frame.cell.T, frame.positions.T).T - scaled
        difference -= difference[0]  # the origin may be different
        if np.abs(difference - np.round(difference)).max() < SAME:
            matches.append(frame)
    if len(matches) < 2:
        return None
    matches.sort(key=lambda f: f.volume)
    volumes = np.array([f.volume / len(f) for f in matches])
    return LabelledVolumes(
        matches, volumes, np.array([f.energy / len(f) for f in matches if f.energy is not None])
    )
