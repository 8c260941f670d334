"""Structures on which a package's calculator and the converted model are compared, by kind.

Float32 can represent their forces: no two atoms are closer than CLOSEST times the sum of their covalent
radii, so that forces stay within some tens of eV/Å.
"""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, bcc110, bulk, fcc111, graphene, hcp0001, molecule
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list

STRAIN = 0.03  # standard deviation of every component of the cell's deformation
RATTLE = 0.08  # Å, of every coordinate
CLOSEST = 0.7
LATTICES = {"rocksalt": 2.0, "zincblende": 4 / np.sqrt(3), "cesiumchloride": 2 / np.sqrt(3)}
MOLECULES = ("CH3CH2OH", "C6H6", "H2O", "SiH4", "P2", "CH3SH", "C60")
ALLOY = ("Al", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Mo")


def structures(count: int, type_names: Sequence[str], seed: int = 5) -> list[tuple[str, Atoms]]:
    """Return `count` pairs of kind and structure, at least one of every kind.

    Those beyond the fixed structures are strained crystals of two elements, in the order of a shuffle of all elements.
    """
    rng = np.random.default_rng(seed)
    fixed = [(kind, atoms) for kind, make in KINDS.items() for atoms in make(rng)]
    order = rng.permutation(type_names)
    pairs = [(order[2 * k % len(order)], order[(2 * k + 1) % len(order)]) for k in range(count - len(fixed))]
    crystals = [("crystal", compound(x, y, k, rng)) for k, (x, y) in enumerate(pairs)]
    return [(kind, _bare(atoms)) for kind, atoms in crystals + fixed]


def timed(kinds: Sequence[str], seed: int = 5) -> dict[str, Atoms]:
    """Return the structures whose steps are timed, by kind."""
    return {kind: _bare(TIMED[kind](np.random.default_rng(seed))) for kind in kinds}


def compound(x: str, y: str, k: int, rng: np.random.Generator) -> Atoms:
    """Return one of three lattices of two elements at bonding distances; every sixth is a supercell."""
    distance = 1.08 * (_radius(x) + _radius(y))
    lattice = list(LATTICES)[k % 3]
    atoms = bulk(x + y, lattice, a=LATTICES[lattice] * distance, cubic=lattice != "cesiumchloride")
    atoms.symbols[:] = [x if s == atoms.symbols[0] else y for s in atoms.symbols]
    return disordered(atoms * (2, 2, 2) if k % 6 == 0 else atoms, rng)


def disordered(
    atoms: Atoms, rng: np.random.Generator, strain: float = STRAIN, rattle: float = RATTLE
) -> Atoms:
    """Return a copy, strained along its periodic directions and rattled until no two atoms are too close."""
    while True:
        new = atoms.copy()
        periodic = np.outer(new.pbc, new.pbc)
        deformation = np.eye(3) + strain * rng.normal(size=(3, 3)) * periodic
        new.set_cell(new.cell.array @ deformation, scale_atoms=True)
        new.rattle(rattle, rng=rng)
        if closeness(new) > CLOSEST:
            return new


def closeness(atoms: Atoms) -> float:
    """The shortest distance over the sum of the covalent radii, images included."""
    i, j, d = neighbor_list("ijd", atoms, 3.5)
    radii = covalent_radii[atoms.numbers]
    return float((d / (radii[i] + radii[j])).min(initial=np.inf))


def silicon(rng: np.random.Generator) -> Atoms:
    return disordered(bulk("Si", cubic=True) * (3, 3, 3), rng, 0.0, 0.05)


def crystal(rng: np.random.Generator) -> Atoms:
    return disordered(bulk("MgO", "rocksalt", a=4.21, cubic=True) * (2, 2, 2), rng, 0.0, 0.05)


def surface(rng: np.random.Generator) -> Atoms:
    """CO on platinum, periodic in two directions."""
    slab = fcc111("Pt", (3, 3, 4), vacuum=8.0)
    add_adsorbate(slab, molecule("CO"), 2.9, "ontop")
    return disordered(slab, rng, 0.01, 0.05)


def cluster(rng: np.random.Generator) -> Atoms:
    """A molecule in vacuum."""
    return disordered(molecule("C60"), rng, 0.0, 0.03)


def alloy(rng: np.random.Generator, repeats: tuple[int, int, int] = (3, 3, 3)) -> Atoms:
    """Ten metals at random on an fcc lattice."""
    atoms = bulk("Fe", "fcc", a=3.65, cubic=True) * repeats
    atoms.symbols[:] = [ALLOY[k] for k in rng.permutation(len(atoms)) % len(ALLOY)]
    return disordered(atoms, rng, 0.01, 0.08)


def liquid(rng: np.random.Generator, formula: str = "NaCl", units: int = 32, volume: float = 50.0) -> Atoms:
    """Atoms dropped at random into a cube of `volume` Å³ per formula unit, then pushed apart."""
    atoms = Atoms(formula * units)
    side = (volume * units) ** (1 / 3)
    x = side * rng.random((len(atoms), 3))
    radii = covalent_radii[atoms.numbers]
    least = 0.92 * (radii[:, None] + radii)
    for _ in range(3000):
        r = x[None] - x[:, None]
        r -= side * np.round(r / side)
        d = np.linalg.norm(r, axis=2) + side * np.eye(len(x))
        overlap = np.maximum(0.0, least - d)
        if overlap.max() < 0.05:
            break
        x -= 0.3 * ((overlap / d)[:, :, None] * r).sum(axis=1)
    return Atoms(atoms.symbols, x, cell=side * np.eye(3), pbc=True)


def water(rng: np.random.Generator) -> Atoms:
    """27 molecules of all orientations, at the density of the liquid."""
    spacing = 3.1
    atoms = Atoms(cell=3 * spacing * np.eye(3), pbc=True)
    for corner in np.ndindex(3, 3, 3):
        one = molecule("H2O")
        one.rotate(rng.uniform(0, 360), rng.normal(size=3))
        one.translate(spacing * np.array(corner))
        atoms += one
    return disordered(atoms, rng, 0.0, 0.03)


def _tiny_cells(rng: np.random.Generator) -> list[Atoms]:
    """Return cells shorter than the cutoff, in which an atom is its own neighbour."""
    return [disordered(bulk(e), rng) for e in ("Cu", "Fe", "Na", "Ir", "Si", "Ti")]


def _surfaces(rng: np.random.Generator) -> list[Atoms]:
    wire = bulk("Au", cubic=True) * (1, 1, 3)
    wire.center(vacuum=6.0, axis=(0, 1))
    wire.pbc = [False, False, True]
    bare = [bcc110("W", (3, 3, 3), vacuum=7.0), hcp0001("Ti", (2, 2, 3), vacuum=6.0)]
    sheet = graphene(size=(4, 4, 1), vacuum=8.0)
    sheet.pbc = [True, True, False]
    oxide = bulk("MgO", "rocksalt", a=4.21, cubic=True) * (2, 2, 2)
    oxide.center(vacuum=6.0, axis=2)
    oxide.pbc = [True, True, False]
    return [surface(rng), *(disordered(a, rng) for a in (*bare, sheet, oxide, wire))]


def _molecules(rng: np.random.Generator) -> list[Atoms]:
    boxed = molecule("CH4")
    boxed.center(vacuum=5.0)
    boxed.pbc = True
    return [disordered(a, rng, 0.0, 0.05) for a in (*map(molecule, MOLECULES), boxed)]


def _liquids(rng: np.random.Generator) -> list[Atoms]:
    return [water(rng), liquid(rng), liquid(rng, "Al", 108, 18.9), liquid(rng, "SiO2", 24, 46.0)]


def _alloys(rng: np.random.Generator) -> list[Atoms]:
    return [alloy(rng), alloy(rng, (5, 5, 2))]


def _atoms(rng: np.random.Generator) -> list[Atoms]:
    return [*map(Atoms, ("W", "H", "U", "Xe")), Atoms("O", cell=[15.0] * 3, pbc=True)]


def _dimers(rng: np.random.Generator) -> list[Atoms]:
    lengths = {"NaCl": 2.4, "CO": 1.15, "Fe2": 2.1, "LaF": 2.1, "CsI": 4.9}
    return [Atoms(name, [[0.1, 0.2, 0.3], [0.1, 0.2, 0.3 + d]]) for name, d in lengths.items()]


# The fixed structures; crystals of two elements come before them.
KINDS = {
    "tiny cell": _tiny_cells,
    "surface, wire": _surfaces,
    "molecule": _molecules,
    "liquid": _liquids,
    "alloy of 10": _alloys,
    "atom": _atoms,
    "dimer": _dimers,
}
TIMED = {
    "216 Si": silicon,
    "crystal": crystal,
    "surface": surface,
    "molecule": cluster,
    "liquid": liquid,
    "alloy of 10": alloy,
}


def _radius(symbol: str) -> float:
    return float(covalent_radii[atomic_numbers[symbol]])


def _bare(atoms: Atoms) -> Atoms:
    """Remove the builders' notes and constraints, which a file would hold."""
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
