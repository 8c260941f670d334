"""Differences of energies, forces and stresses between two calculators, by kind of structure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Results = Mapping[str, Any]  # energy_0, forces_0, stress_0 (of crystals), energy_1, …
# eV per atom, eV/Å, eV/Å³. In float64 only the splines differ: forces may by ten times their tolerance.
LIMITS = {"float32": (1e-5, 2e-4, 1e-5), "float64": (1e-5, 1e-4, 1e-5)}
ALL = "all"


@dataclass(frozen=True)
class Difference:
    """Largest differences over structures: energy per atom (eV), force (eV/Å) and stress component (eV/Å³)."""

    energy: float
    force: float
    stress: float | None  # None: no structure is periodic in all directions

    def within(self, limits: tuple[float, float, float]) -> bool:
        # NaN compares as False and is not within limits.
        return all(
            value is None or value <= limit
            for value, limit in zip((self.energy, self.force, self.stress), limits)
        )


def difference(a: Results, b: Results, sizes: Mapping[int, int]) -> Difference:
    """Compare two sets of results; sizes: numbers of atoms of the structures to compare, by their index."""
    energies, forces, stresses = [0.0], [0.0], []
    for k, n in sizes.items():
        energies.append(abs(float(a[f"energy_{k}"] - b[f"energy_{k}"])) / n)
        forces.append(np.abs(a[f"forces_{k}"] - b[f"forces_{k}"]).max())
        if f"stress_{k}" in a or f"stress_{k}" in b:
            stresses.append(np.abs(a[f"stress_{k}"] - b[f"stress_{k}"]).max())
    # Unlike Python's, numpy's maximum returns NaN if there is one.
    return Difference(
        float(np.max(energies)), float(np.max(forces)), float(np.max(stresses)) if stresses else None
    )


def rows(
    kinds: Sequence[str],
    sizes: Sequence[int],
    equipot: Mapping[str, Results],
    peer: Mapping[str, Results],
) -> list[dict[str, Any]]:
    """Return a row for every kind and one for all, with the differences in both precisions.

    equipot, peer: results by dtype. The peer's float64 results are the reference for both sides in float32.
    """
    result = []
    for kind in [*dict.fromkeys(kinds), ALL]:
        some = {k: n for k, n in enumerate(sizes) if kind in (kinds[k], ALL)}
        reference = peer["float64"]
        row: dict[str, Any] = {
            "kind": kind,
            "structures": len(some),
            "atoms": f"{min(some.values())}–{max(some.values())}",
            "largest_force": float(max(np.abs(reference[f"forces_{k}"]).max() for k in some)),
        }
        for dtype, limits in LIMITS.items():
            between = difference(equipot[dtype], peer[dtype], some)
            row[dtype] = {**asdict(between), "met": between.within(limits)}
        row["equipot_float32_from_float64"] = asdict(difference(equipot["float32"], reference, some))
        row["peer_float32_from_float64"] = asdict(difference(peer["float32"], reference, some))
        result.append(row)
    return result
