"""Errors that others published for the same test sets: (energy, forces) by potential, in the units of `Published`."""

from dataclasses import dataclass
from typing import Literal

Pair = tuple[float | None, float | None]


@dataclass(frozen=True)
class Published:
    """Published errors of a set, and how they are given.

    metric: mae or rmse. energy: of the whole structure or per atom, in meV. Forces are in meV/Å.
    errors: by test group, which is the data's config_type ("all": all frames), then by potential.
    """

    metric: Literal["mae", "rmse"]
    energy: Literal["structure", "atom"]
    source: str
    errors: dict[str, dict[str, Pair]]


MACE = "Batatia et al., NeurIPS 35, 11423 (2022), tables 1 to 3"
MLEARN = (
    "MTP, NNP, M3GNet: Chen and Ong, Nat. Comput. Sci. 2, 718 (2022); SNAP, qSNAP: computed in LAMMPS with the "
    "potentials published with the set (Zuo et al., J. Phys. Chem. A 124, 731 (2020))"
)

PUBLISHED: dict[str, Published] = {
    "3bpa": Published(
        "rmse",
        "structure",
        MACE,
        {
            "all": {
                "NequIP": (3.3, 10.8),
                "Allegro": (3.84, 12.98),
                "BOTNet": (3.1, 11.0),
                "MACE L0": (4.5, 14.6),
                "MACE L1": (3.4, 10.3),
                "MACE L2": (3.0, 8.8),
            }
        },
    ),
    "acac": Published(
        "rmse",
        "structure",
        MACE,
        {"all": {"NequIP": (0.81, 5.90), "BOTNet": (0.89, 6.3), "MACE": (0.9, 5.1)}},
    ),
    "ethanol": Published(
        "mae",
        "structure",
        MACE,
        {"all": {"NequIP": (0.4, 2.8), "Allegro": (0.4, 2.1), "MACE": (0.4, 2.1)}},
    ),
    "ethanol50": Published("mae", "structure", MACE, {"all": {"NequIP": (8.7, 40.2), "MACE": (6.7, 32.6)}}),
    "si": Published(
        "rmse",
        "atom",
        MLEARN,
        {
            "all": {
                "MTP": (3.0, 88.1),
                "NNP": (9.9, 174.2),
                "M3GNet": (9.6, 102.8),
                "SNAP": (8.06, 205.3),
                "qSNAP": (5.51, 176.9),
            }
        },
    ),
    "cu": Published(
        "rmse",
        "atom",
        MLEARN,
        {
            "all": {
                "MTP": (0.5, 13.5),
                "NNP": (1.7, 63.0),
                "M3GNet": (1.8, 17.0),
                "SNAP": (0.75, 82.9),
                "qSNAP": (0.77, 54.9),
            }
        },
    ),
    "water": Published(
        "rmse",
        "atom",
        "NequIP (Batzner et al. 2022), another split of 133 frames, from a secondary source",
        {"all": {"NequIP": (None, 12.2)}},
    ),
    "lips": Published(
        "rmse",
        "atom",
        "NequIP (Batzner et al. 2022) with 100 frames of another split, from a secondary source",
        {"all": {"NequIP": (None, 36.8)}},
    ),
}
