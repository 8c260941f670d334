"""The crystals, and published values for them."""

from dataclasses import dataclass

from ase import Atoms
from ase.build import bulk


@dataclass(frozen=True)
class Published:
    """Published values of a crystal. A value that the source does not have is None.

    a in Å, moduli and elastic constants in GPa, frequencies in THz; of the frequencies at X, equal ones stand once.
    """

    name: str
    source: str
    a: float | None = None
    bulk_modulus: float | None = None
    c11: float | None = None
    c12: float | None = None
    c44: float | None = None
    gamma: float | None = None  # the optical mode at Γ, in polar crystals the transverse one
    at_x: tuple[float, ...] = ()


@dataclass(frozen=True)
class Crystal:
    """A cubic crystal at its measured lattice parameter, and published values."""

    lattice: str
    a: float  # Å, at room temperature
    published: tuple[Published, ...]

    def atoms(self, name: str) -> Atoms:
        """Return the conventional cell, of eight atoms."""
        return bulk(name, self.lattice, a=self.a, cubic=True)


MP = (
    "Materials Project (Jain et al., APL Mater. 1, 011002 (2013)), as listed by Chen and Ong, "
    "Nat. Comput. Sci. 2, 718 (2022), in the README of m3gnet"
)
ALL_ELECTRON = "mean of two all-electron codes, Bosoni et al., Nat. Rev. Phys. 6, 45 (2024)"
STATIC = "at 0 K, without zero-point motion: Hao et al., Phys. Rev. B 85, 014111 (2012)"

# Bulk moduli of experiments are (C11 + 2 C12) / 3.
CRYSTALS = {
    "MgO": Crystal(
        "rocksalt",
        4.212,
        (
            Published("PBE, Materials Project", MP, a=4.256),
            Published("PBE, all-electron", ALL_ELECTRON, a=4.254, bulk_modulus=149.0),
            Published("experiment, 0 K, static", STATIC, a=4.188),
            Published(
                "experiment, 300 K",
                "constants: Sumino et al., J. Phys. Earth 24, 263 (1976); TO: Jasperse et al., Phys. Rev. 146, 526 "
                "(1966)",
                a=4.212,
                bulk_modulus=163.9,
                c11=297.8,
                c12=97.0,
                c44=156.3,
                gamma=12.0,
            ),
        ),
    ),
    "NaCl": Crystal(
        "rocksalt",
        5.640,
        (
            Published("PBE, Materials Project", MP, a=5.692),
            Published("experiment, 0 K, static", STATIC, a=5.565),
            Published(
                "experiment, 4 K",
                "constants: Lewis, Lehoczky and Briscoe, Phys. Rev. 161, 877 (1967); TO: Lowndes and Martin, "
                "Proc. R. Soc. A 308, 473 (1969)",
                bulk_modulus=26.6,
                c11=57.3,
                c12=11.2,
                c44=13.3,
                gamma=5.3,
            ),
            Published(
                "experiment, 300 K",
                "TO: Lowndes and Martin, Proc. R. Soc. A 308, 473 (1969)",
                a=5.640,
                gamma=4.9,
            ),
        ),
    ),
    "Si": Crystal(
        "diamond",
        5.431,
        (
            Published("PBE, Materials Project", MP, a=5.469),
            Published("PBE, all-electron", ALL_ELECTRON, a=5.470, bulk_modulus=88.5),
            Published("experiment, 0 K, static", STATIC, a=5.422),
            Published(
                "experiment, 300 K",
                "constants: Hall, Phys. Rev. 161, 756 (1967); frequencies: Nilsson and Nelin, Phys. Rev. B 6, 3777 "
                "(1972)",
                a=5.431,
                bulk_modulus=97.9,
                c11=165.8,
                c12=63.9,
                c44=79.6,
                gamma=15.5,
                at_x=(4.49, 12.32, 13.90),
            ),
        ),
    ),
}
