"""The level of theory of all labels and reference values, in one place."""

from gpaw import GPAW, PW, FermiDirac


def calculator() -> GPAW:
    """PBE, plane waves to 400 eV, 3×3×3 k-points around Γ, Fermi smearing of 0.1 eV.

    Point-group symmetry is off: displaced atoms have none, and a strained crystal must not get other k-points
    than the unstrained one.
    """
    return GPAW(
        mode=PW(400),
        xc="PBE",
        kpts={"size": (3, 3, 3), "gamma": True},
        occupations=FermiDirac(0.1),
        symmetry={"point_group": False, "time_reversal": True},
        maxiter=200,
        txt=None,
    )
