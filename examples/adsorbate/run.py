"""Where does CO bind on Cu(111)? Adsorption energies on top, at the bridge, and in the two hollows.

    python examples/adsorbate/run.py [--model sevenn:7net-0] [--metal Cu] [--output runs/adsorbate]

A slab of four layers is periodic in its plane alone. Its lower layers stay where they are in the crystal. At each site,
the carbon atom moves up and down only, so that the molecule stays at the site; everything else relaxes.

    adsorption energy = E(slab with CO) - E(slab) - E(CO)

A negative value says that the molecule binds.
"""

import json
import sys
import time
from pathlib import Path

import ase.io
import matplotlib
import numpy as np
from ase import Atoms
from ase.build import add_adsorbate, bulk, fcc111, molecule
from ase.constraints import FixAtoms, FixedLine
from ase.visualize.plot import plot_atoms
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common.frozen import with_results
from common.models import add_model, calculator
from common.options import options

from equipot.calculators import EquipotCalculator
from equipot.errors import EquipotError
from equipot.simulation.relaxation import relax

matplotlib.use("Agg")
import matplotlib.pyplot as plt

CONSOLE = Console(highlight=False)
METALS = ("Ag", "Al", "Au", "Cu", "Ir", "Ni", "Pb", "Pd", "Pt", "Rh")
SITES = {"ontop": "top", "bridge": "bridge", "fcc": "fcc hollow", "hcp": "hcp hollow"}
HEIGHTS = {"ontop": 1.85, "bridge": 1.5, "fcc": 1.4, "hcp": 1.4}  # Å, of carbon, to begin with


def clean_slab(metal: str, a: float, size: int, layers: int) -> Atoms:
    """Return a slab with a (111) surface that is periodic in its plane; the lower half of its layers is fixed."""
    slab = fcc111(metal, (size, size, layers), a=a, vacuum=8.0)
    slab.pbc = (True, True, False)
    slab.set_constraint(FixAtoms(mask=slab.get_tags() > layers - layers // 2))
    return slab


def with_molecule(slab: Atoms, site: str) -> Atoms:
    """Return the slab with CO upright at a site, carbon below."""
    atoms = slab.copy()
    add_adsorbate(atoms, molecule("CO"), HEIGHTS[site], site, mol_index=1)
    carbon = int(np.flatnonzero(atoms.symbols == "C")[0])
    # `bridge` is a saddle point between two hollows: a free molecule would leave it.
    atoms.set_constraint([*slab.constraints, FixedLine(carbon, (0, 0, 1))])
    return atoms


def relaxed(atoms: Atoms, model: EquipotCalculator, fmax: float, what: str, cell: str = "none") -> Atoms:
    """Return the relaxed atoms with their results; end the example if the relaxation does not converge."""
    result = relax(atoms, model, cell=cell, fmax=fmax)
    if not result.converged:
        sys.exit(
            f"{what} did not relax in {result.end.step} steps: the largest force is {result.end.fmax:.3f} eV/Å; try "
            "another model or a larger --fmax"
        )
    return with_results(result.atoms)


def height(atoms: Atoms) -> float:
    """Return the height of carbon above the mean of the highest layer of metal (Å)."""
    surface = atoms.positions[atoms.get_tags() == 1, 2].mean()
    return float(atoms.positions[atoms.symbols == "C", 2][0] - surface)


def plot(
    at_sites: dict[str, Atoms], energies: dict[str, float], surface: str, model: str, file: Path
) -> None:
    """Draw the energies as bars, and the surface from above with the molecule at each site."""
    figure = plt.figure(figsize=(10, 4.2), layout="constrained")
    grid = figure.add_gridspec(2, 4)
    bars = figure.add_subplot(grid[:, :2])
    names = [SITES[site] for site in energies]
    shown = bars.bar(names, list(energies.values()), color="tab:blue", width=0.6)
    bars.bar_label(shown, fmt="%.2f", padding=3)
    bars.axhline(0, color="k", lw=0.8)
    bars.set(ylabel="adsorption energy (eV)", title=f"CO on {surface}, {model}")
    bars.margins(y=0.15)
    for k, (site, atoms) in enumerate(at_sites.items()):
        axis = figure.add_subplot(grid[k // 2, 2 + k % 2])
        plot_atoms(atoms.repeat((2, 2, 1)), axis, radii=0.9, show_unit_cell=0)
        axis.set_title(SITES[site], fontsize=10)
        axis.set_axis_off()
    figure.savefig(file, dpi=150)
    plt.close(figure)


def main() -> int:
    parser = options(__doc__, "runs/adsorbate")
    add = parser.add_argument
    add_model(parser)
    add("--metal", default="Cu", choices=METALS, help="fcc metal (default: %(default)s)")
    add(
        "--size",
        type=int,
        default=3,
        help="surface cells along each edge (default: 3, a ninth of a monolayer)",
    )
    add("--layers", type=int, default=4, help="default: %(default)s")
    add("--fmax", type=float, default=0.02, help="largest force at convergence, eV/Å (default: %(default)s)")
    args = parser.parse_args()
    start, out, surface = time.monotonic(), args.output, f"{args.metal}(111)"
    model = calculator(args.model)
    gas = molecule("CO")
    try:
        model.species.index([*gas.numbers, bulk(args.metal).numbers[0]])
    except EquipotError as error:
        sys.exit(str(error))
    out.mkdir(parents=True, exist_ok=True)

    crystal = relaxed(bulk(args.metal, cubic=True), model, args.fmax, "the crystal", cell="isotropic")
    a = float(crystal.cell.lengths()[0])
    gas = relaxed(gas, model, args.fmax, "the molecule")
    slab = relaxed(clean_slab(args.metal, a, args.size, args.layers), model, args.fmax, "the slab")
    reference = slab.get_potential_energy() + gas.get_potential_energy()
    at_sites = {}
    for site in SITES:
        at_sites[site] = relaxed(
            with_molecule(slab, site), model, args.fmax, f"CO at the site '{SITES[site]}'"
        )
    energies = {site: float(atoms.get_potential_energy() - reference) for site, atoms in at_sites.items()}

    for name, atoms in {"slab": slab, "gas": gas, **at_sites}.items():
        atoms.info.clear()  # the coordinates of the sites, which a file cannot hold
        ase.io.write(out / f"{name}.extxyz", atoms)
    table = Table(title=f"CO on {surface}, a = {a:.3f} Å, {args.model}", title_justify="left")
    for column in ("site", "adsorption energy (eV)", "above the best (meV)", "height of C (Å)", "C-O (Å)"):
        table.add_column(column, justify="left" if column == "site" else "right")
    best = min(energies, key=lambda site: energies[site])
    for site, atoms in at_sites.items():
        bond = atoms.get_distance(*np.flatnonzero(np.isin(atoms.symbols, ("C", "O"))))
        table.add_row(
            SITES[site],
            f"{energies[site]:.3f}",
            f"{1000 * (energies[site] - energies[best]):.0f}",
            f"{height(atoms):.2f}",
            f"{bond:.3f}",
        )
    CONSOLE.print(table)
    CONSOLE.print(f"CO prefers the site '{SITES[best]}' of {surface}", markup=False)
    plot(at_sites, energies, surface, args.model, out / "adsorbate.png")
    values = {
        "a_A": a,
        "energies_eV": energies,
        "heights_A": {s: height(atoms) for s, atoms in at_sites.items()},
    }
    (out / "adsorbate.json").write_text(json.dumps(values, indent=1) + "\n")
    CONSOLE.print(
        f"{time.monotonic() - start:.0f} s; written to {out}: adsorbate.png, adsorbate.json, *.extxyz",
        markup=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
