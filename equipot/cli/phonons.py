"""`equipot phonons`: bands, density of states and thermal properties of a crystal."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from rich.console import Console
from rich.table import Table

from equipot.cli.simulation import add_model_arguments, bar, begin, load_calculator, not_there, speed
from equipot.errors import ConfigError, NumericsError

if TYPE_CHECKING:
    from equipot.properties.phonons import Phonons

LENGTH = 15.0  # Å
PER_CM = 33.35641  # of THz

DESCRIPTION = """Phonons of a crystal with a model: relax, displace atoms of a supercell, diagonalise (phonopy does it).

The structure is relaxed first, its cell too, in the space group that it has within 0.01 Å. The folder gets
phonopy.yaml with force constants (for phonopy.load), band.yaml and bands.csv, dos.csv, thermal.csv, phonons.png, and
relaxed.extxyz. Modes that are imaginary are named in a sentence; they mean that the structure is no minimum of the
model's energy.
"""

EXAMPLES = """examples:
  equipot phonons POSCAR -m model.pt
  equipot phonons mgo.cif -m model.pt --supercell 3 3 3 -o mgo
  equipot phonons mgo.cif -m model.pt --supercell 20         every side at least 20 Å long
  equipot phonons perovskite.cif -m model.pt --no-relax --displacement 0.03
  equipot phonons si.cif -m sevenn:7net-0                    a published model of 89 elements

The supercell should be longer than the interactions: frequencies that change with it are not converged. Polar crystals
have no splitting of longitudinal and transverse modes at Γ, since a model knows no charges.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add(
        "structure",
        metavar="STRUCTURE",
        help="anything ase.io reads; its last frame, or name@0 for the first",
    )
    add_model_arguments(parser)
    add(
        "--supercell",
        type=float,
        nargs="+",
        default=[LENGTH],
        metavar="N",
        help=f"three repeats of the cell, or one length in Å that every side has at least (default: {LENGTH:g} Å)",
    )
    add("-o", "--output", default="phonons", metavar="FOLDER", help="default: %(default)s")
    add("--overwrite", action="store_true", help="replace the files that an earlier run left in FOLDER")
    add("--displacement", type=float, default=0.01, metavar="A", help="default: %(default)g Å")
    add("--no-relax", action="store_true", help="take the structure as it is")
    add(
        "--fmax",
        type=float,
        default=0.001,
        metavar="EV_PER_A",
        help="of the relaxation (default: %(default)g)",
    )
    add("--smax", type=float, default=0.01, metavar="GPA", help="of the relaxation (default: %(default)g)")
    add("--pressure", type=float, default=0.0, metavar="GPA", help="of the relaxation (default: %(default)g)")
    add(
        "--steps",
        type=int,
        default=500,
        metavar="N",
        help="of the relaxation, at most (default: %(default)s)",
    )
    add(
        "--tmax",
        type=float,
        default=1000.0,
        metavar="K",
        help="of the thermal properties (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Relax, compute, write the folder, print frequencies and warnings."""
    from equipot.properties.phonon_files import FILES, write_phonons
    from equipot.properties.phonons import check_options, need_phonopy, phonons
    from equipot.simulation.structures import read_structure

    need_phonopy()
    if not 0 < args.tmax <= 1e5:
        raise ConfigError(f"--tmax is {args.tmax:g} K; expected a positive temperature, e.g. 1000")
    atoms = read_structure(args.structure)
    supercell = _supercell(args.supercell, atoms)
    check_options(atoms, supercell, args.displacement)
    folder = Path(args.output)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--output: {folder} is a file; expected a folder to write into")
    files = list(FILES) if args.no_relax else [*FILES, "relaxed.extxyz"]
    for name in files:
        not_there(folder / name, args.overwrite)
    calculator = load_calculator(args.model, args.device, [atoms])
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    if not args.no_relax:
        atoms = _relaxed(args, atoms, calculator, folder / "relaxed.extxyz", console)
        if len(args.supercell) == 1:
            supercell = _supercell(args.supercell, atoms)
    n = len(atoms) * int(np.prod(supercell))
    console.print(f"supercell {' × '.join(map(str, supercell))}: {n} atoms", markup=False)
    with bar(console) as progress:
        task = begin(progress, "displacements", 1)
        found = phonons(
            atoms,
            calculator,
            supercell,
            displacement=args.displacement,
            temperatures=np.linspace(0, args.tmax, 101).tolist(),
            progress=lambda k, of: progress.update(
                task, completed=k, total=of, said=f"{k} of {of}, {speed(progress, task, k)}"
            ),
        )
        progress.update(task, said="bands, density of states")
        write_phonons(folder, found)
    for table in _tables(found):
        console.print(table)
    console.print(
        f"acoustic frequencies at Γ before the sum rule was imposed: {found.acoustic:.3f} THz", markup=False
    )
    for mode in found.imaginary:
        console.print(f"Warning: {mode.sentence()}.", style="yellow", markup=False, soft_wrap=True)
    console.print(f"written to {folder}: {', '.join(files)}", markup=False, soft_wrap=True)
    return 0


def _supercell(numbers: list[float], atoms: Atoms) -> tuple[int, int, int]:
    from equipot.properties.phonons import supercell_of_length

    if len(numbers) == 1 and 1 <= numbers[0] <= 4 and numbers[0] == int(numbers[0]):
        n = int(numbers[0])
        raise ConfigError(
            f"--supercell {n} would be a length of {n} Å; for repeats of the cell give {n} {n} {n}"
        )
    if len(numbers) == 1 and 0 < numbers[0] < 1000:
        return supercell_of_length(atoms, numbers[0])
    if len(numbers) == 3 and all(x == int(x) and 1 <= x < 1000 for x in numbers):
        a, b, c = map(int, numbers)
        return a, b, c
    raise ConfigError(
        f"--supercell is {' '.join(f'{x:g}' for x in numbers)}; expected three repeats such as 3 3 3, or a length in Å"
    )


def _relaxed(
    args: argparse.Namespace, atoms: Atoms, calculator: object, path: Path, console: Console
) -> Atoms:
    from equipot.simulation.relaxation import check_options, relax
    from equipot.simulation.structures import append_frame, snapshot

    check_options(args.fmax, args.smax, "full", args.pressure, args.steps, "LBFGS")
    with console.status("relaxing ..."):
        found = relax(
            atoms,
            calculator,
            fmax=args.fmax,
            smax=args.smax,
            cell="full",
            pressure=args.pressure,
            steps=args.steps,
            symmetry=True,
        )
    end = found.end
    if not found.converged:
        raise NumericsError(
            f"{args.structure} did not relax in {end.step} steps: forces {end.fmax:.2g} eV/Å, "
            f"stress {end.excess:.2g} GPa; "
            "give more --steps, a looser --fmax or --smax, or --no-relax"
        )
    with path.open("w", encoding="utf-8") as file:
        append_frame(file, path, snapshot(found.atoms))
    console.print(
        f"relaxed in {end.step} steps: {end.energy / len(atoms):.6f} eV/atom, forces {end.fmax:.1e} eV/Å, "
        f"cell {' '.join(f'{x:.6g}' for x in found.atoms.cell.cellpar())}",
        markup=False,
        soft_wrap=True,
    )
    return found.atoms


def _tables(found: "Phonons") -> list[Table]:
    gamma = Table(title="Frequencies at Γ", title_justify="left")
    for column in ("THz", "1/cm", "modes"):
        gamma.add_column(column, justify="right")
    for frequency, count in degenerate(found.gamma):
        frequency = round(frequency, 3) + 0.0  # -0.0 loses its sign
        gamma.add_row(f"{frequency:.3f}", f"{frequency * PER_CM:.1f}", str(count))
    thermal = Table(title="Thermal properties of a mole of primitive cells", title_justify="left")
    for column in ("K", "free energy kJ", "entropy J/K", "heat capacity J/K"):
        thermal.add_column(column, justify="right")
    for row in found.thermal[:: max(1, (len(found.thermal) - 1) // 5)]:
        thermal.add_row(f"{row[0]:g}", *(f"{x:.3f}" for x in row[1:]))
    return [gamma, thermal]


def degenerate(frequencies: np.ndarray, tolerance: float = 0.01) -> list[tuple[float, int]]:
    """Mean and number of frequencies (THz) that follow each other within the tolerance."""
    groups: list[list[float]] = []
    for f in np.sort(frequencies):
        if groups and f - groups[-1][-1] < tolerance:
            groups[-1].append(float(f))
        else:
            groups.append([float(f)])
    return [(float(np.mean(group)), len(group)) for group in groups]
