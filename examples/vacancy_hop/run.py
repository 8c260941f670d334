"""The energy barrier of a vacancy that changes places with a neighbour in an fcc metal.

    python examples/vacancy_hop/run.py [--model sevenn:7net-0] [--element Cu] [--output runs/vacancy_hop]

The steps are those of a DFT study:

    1. relax the lattice parameter of the crystal
    2. remove an atom of a supercell, and relax the cells before and after the hop
    3. find the path of lowest energy between them with a nudged elastic band (NEB), then let its highest image climb

The barrier is the energy of the highest image, above that of the relaxed vacancy.
"""

import json
import sys
import time
from pathlib import Path

import ase.io
import matplotlib
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.mep import NEB
from ase.optimize import FIRE
from ase.utils.forcecurve import fit_images
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from common.frozen import with_results
from common.models import add_model, calculator
from common.options import options

from equipot.calculators import EquipotCalculator
from equipot.simulation.relaxation import relax

matplotlib.use("Agg")
import matplotlib.pyplot as plt

CONSOLE = Console(highlight=False)
# eV. PBE: Angsten et al., New J. Phys. 16, 015018 (2014), table A1.
PBE = {
    "Ag": {"migration": 0.70, "formation": 0.68},
    "Al": {"migration": 0.58, "formation": 0.61},
    "Au": {"migration": 0.53, "formation": 0.40},
    "Cu": {"migration": 0.72, "formation": 1.07},
    "Pd": {"migration": 0.95, "formation": 1.16},
    "Pt": {"migration": 1.24, "formation": 0.61},
}
# eV. Measured values, as compiled in Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021).
MEASURED = {"Cu": {"migration": "0.67 to 0.76", "formation": "1.27"}}


def ends(crystal: Atoms, repeat: int) -> tuple[Atoms, Atoms, Atoms]:
    """Return a supercell, and the same with a vacancy at an atom, and with the vacancy at a neighbour of that atom.

    Atoms have the same order in the two cells with a vacancy. One atom has another place: the one that hops.
    """
    perfect = crystal.repeat(repeat)
    vacancy = 0
    hopping = int(np.argsort(perfect.get_distances(vacancy, range(len(perfect)), mic=True))[1])
    before, after = perfect.copy(), perfect.copy()
    after.positions[hopping] += perfect.get_distance(hopping, vacancy, mic=True, vector=True)
    del before[vacancy]
    del after[vacancy]
    return perfect, before, after


def relaxed(atoms: Atoms, model: EquipotCalculator, fmax: float, cell: str = "none") -> Atoms:
    """Return the relaxed atoms with their results; end the example if the relaxation does not converge."""
    result = relax(atoms, model, cell=cell, fmax=fmax)
    if not result.converged:
        sys.exit(
            f"the relaxation did not converge in {result.end.step} steps: the largest force is {result.end.fmax:.3f} "
            f"eV/Å, the largest stress {result.end.excess:.3f} GPa; try another model or a larger --fmax"
        )
    return with_results(result.atoms)


def band(
    before: Atoms, after: Atoms, model: EquipotCalculator, images: int, fmax: float, steps: int
) -> list[Atoms]:
    """Return the relaxed path from one vacancy to the other, with energies and forces."""
    moving = [before.copy() for _ in range(images)]
    path = [before, *moving, after]
    # One calculator for all images: they are computed in turn, and each computation uses all cores.
    neb = NEB(path, method="improvedtangent", allow_shared_calculator=True)
    neb.interpolate(method="idpp", mic=True)
    for image in moving:
        image.calc = model
    search = FIRE(neb, logfile=None)
    # The whole band relaxes first: an image that climbs from far below the saddle point would go astray.
    converge(search, neb, max(0.1, fmax), steps)
    neb.climb = True
    converge(search, neb, fmax, steps)
    return [with_results(image) for image in path]


def converge(search: FIRE, neb: NEB, fmax: float, steps: int) -> None:
    """Relax the band; end the example if it does not converge."""
    if not search.run(fmax=fmax, steps=steps):
        sys.exit(
            f"the band ended at {neb.get_residual():.3f} eV/Å after {steps} steps, above the {fmax:g} eV/Å that were "
            "asked for; give more --steps or a larger --fmax"
        )


def plot(path: list[Atoms], element: str, model: str, file: Path) -> None:
    """Draw the energy along the path, with the slopes that the forces give."""
    fit = fit_images(path)
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    axis.plot(fit.fit_path, fit.fit_energies, color="tab:blue", label=model)
    axis.plot(fit.path, fit.energies, "o", color="tab:blue")
    if element in PBE:
        axis.axhline(
            PBE[element]["migration"], color="0.5", ls="--", lw=1, label="PBE, Angsten et al. (2014)"
        )
    axis.set(xlabel="length of the path (Å)", ylabel="energy (eV)", title=f"Vacancy hop in {element}")
    axis.set_ylim(0, 1.3 * max(max(fit.energies), PBE.get(element, {}).get("migration", 0)))
    axis.legend(frameon=False, loc="upper left")
    figure.savefig(file, dpi=150)
    plt.close(figure)


def main() -> int:
    parser = options(__doc__, "runs/vacancy_hop")
    add = parser.add_argument
    add_model(parser)
    add("--element", default="Cu", choices=PBE, help="fcc metal (default: %(default)s)")
    add("--repeat", type=int, default=3, help="cubic cells along each edge (default: 3, which are 107 atoms)")
    add("--images", type=int, default=5, help="between the ends; odd, so that one is at the top (default: 5)")
    add("--fmax", type=float, default=0.02, help="largest force at convergence, eV/Å (default: %(default)s)")
    add("--steps", type=int, default=200, help="at most, of each part of the search (default: %(default)s)")
    args = parser.parse_args()
    start, element = time.monotonic(), args.element
    model = calculator(args.model)
    args.output.mkdir(parents=True, exist_ok=True)

    crystal = relaxed(bulk(element, cubic=True), model, args.fmax, cell="isotropic")
    perfect, *cells = ends(crystal, args.repeat)
    perfect.calc = model
    energy_per_atom = perfect.get_potential_energy() / len(perfect)
    before, after = (relaxed(atoms, model, args.fmax) for atoms in cells)
    path = band(before, after, model, args.images, args.fmax, args.steps)
    ase.io.write(args.output / "path.extxyz", path)

    energies = np.array([image.get_potential_energy() for image in path])
    values = {
        "lattice_A": float(crystal.cell.lengths()[0]),
        "formation_eV": float(energies[0] - len(path[0]) * energy_per_atom),
        "migration_eV": float(energies.max() - energies[0]),
        "back_eV": float(energies.max() - energies[-1]),
        "path_eV": [float(e) for e in energies - energies[0]],
    }
    table = Table(title=f"Vacancy in {element}, {len(path[0])} atoms, {args.model}", title_justify="left")
    for column in ("", "model", "PBE", "measured"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("lattice parameter (Å)", f"{values['lattice_A']:.3f}", "", "")
    for name, heading in (("formation", "formation energy (eV)"), ("migration", "barrier of the hop (eV)")):
        reference = PBE.get(element, {}).get(name)
        table.add_row(
            heading,
            f"{values[f'{name}_eV']:.2f}",
            f"{reference:.2f}" if reference else "",
            MEASURED.get(element, {}).get(name, ""),
        )
    CONSOLE.print(table)
    plot(path, element, args.model, args.output / "path.png")
    (args.output / "barrier.json").write_text(json.dumps(values, indent=1) + "\n")
    CONSOLE.print(
        f"{time.monotonic() - start:.0f} s; written to {args.output}: path.png, path.extxyz, barrier.json",
        markup=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
