"""Step 3: DFT values for a potential to stand beside: elastic constants and the optical phonon at Γ.

    mpiexec -n 2 gpaw python reference.py

The lattice parameter and the bulk modulus need no further DFT: they come from the `volume` structures
(see equation_of_state.py).
"""

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.optimize import BFGS
from ase.parallel import parprint
from level_of_theory import calculator

A0 = 5.4771  # Å, of the equation of state
STRAIN = 0.01
DISPLACEMENT = 0.02  # Å


def crystal(strain: np.ndarray) -> Atoms:
    atoms = bulk("Si", cubic=True, a=A0)
    atoms.set_cell(atoms.cell @ (np.eye(3) + strain), scale_atoms=True)
    atoms.calc = calculator()
    return atoms


def tension() -> None:
    """C11 and C12 from the stress at ±1 % along x."""
    strain = np.zeros((3, 3))
    strain[0, 0] = STRAIN
    c = (crystal(strain).get_stress() - crystal(-strain).get_stress()) / (2 * STRAIN) / units.GPa
    parprint(f"C11 {c[0]:.1f} GPa, C12 {(c[1] + c[2]) / 2:.1f} GPa", flush=True)


def shear() -> None:
    """C44 with atoms that follow the strain, then with relaxed ones. Both signs of shear are equivalent."""
    strain = np.zeros((3, 3))
    strain[0, 1] = strain[1, 0] = STRAIN / 2
    atoms = crystal(strain)
    parprint(f"C44 clamped {atoms.get_stress()[5] / STRAIN / units.GPa:.1f} GPa", flush=True)
    BFGS(atoms, logfile=None).run(fmax=0.01, steps=12)
    parprint(f"C44 relaxed {atoms.get_stress()[5] / STRAIN / units.GPa:.1f} GPa", flush=True)


def optical_phonon() -> None:
    """One face-centred sublattice moved along z against the other, both ways."""
    forces = []
    for sign in (1, -1):
        atoms = crystal(np.zeros((3, 3)))
        quarters = np.round(atoms.get_scaled_positions() * 4).astype(int)
        sublattice = np.flatnonzero((quarters % 2 == 0).all(axis=1))
        atoms.positions[sublattice, 2] += sign * DISPLACEMENT
        forces.append(atoms.get_forces()[sublattice, 2].mean())
    k = -(forces[0] - forces[1]) / (2 * DISPLACEMENT)  # eV/Å², of the relative coordinate
    mass = atoms.get_masses()[0] / 2 * units._amu
    frequency = np.sqrt(k * units._e * 1e20 / mass) / (2 * np.pi) / 1e12
    parprint(f"optical phonon {frequency:.2f} THz", flush=True)


if __name__ == "__main__":
    tension()
    shear()
    optical_phonon()
