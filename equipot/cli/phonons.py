"""`equipot phonons`: compute bands, density of states and thermal properties of a crystal."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from rich.console import Console
from rich.table import Table

from equipot.cli.simulation import (
    add_model_arguments,
    bar,
    begin,
    load_calculator,
    name_extrapolation,
    name_unknown_volume,
    require_absent,
    speed,
)
from equipot.errors import ConfigError, NumericsError

if TYPE_CHECKING:
    from equipot.calculators import EquipotCalculator
    from equipot.properties.phonons import Phonons

LENGTH = 15.0  # Å
PER_CM = 33.35641  # 1/cm per THz

DESCRIPTION = """Compute the phonons of a crystal with a model and phonopy, from displaced atoms of a supercell.

First, the atoms and the cell are relaxed within the space group, which is found with a tolerance of 0.01 Å. The
folder gets phonopy.yaml with force constants (for phonopy.load), band.yaml and bands.csv, dos.csv, thermal.csv,
phonons.png and relaxed.extxyz. A warning is printed for each imaginary mode. Imaginary modes mean that the structure
is not a minimum of the model's energy.
"""

EXAMPLES = """examples:
  equipot phonons POSCAR -m model.pt
  equipot phonons mgo.cif -m model.pt --supercell 3 3 3 -o mgo
  equipot phonons mgo.cif -m model.pt --supercell 20         every side at least 20 Å long
  equipot phonons perovskite.cif -m model.pt --no-relax --displacement 0.03
  equipot phonons si.cif -m sevenn:7net-0                    a published model of 89 elements

The supercell should be longer than the range of the interactions. If the frequencies change with a larger supercell,
they have not converged. The model has no charges, so the modes of polar crystals have no LO-TO splitting at Γ.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add(
        "structure",
        metavar="STRUCTURE",
        help="a file in any format of ASE; its last frame is used, name@0 is the first",
    )
    add_model_arguments(parser)
    add(
        "--supercell",
        type=float,
        nargs="+",
        default=[LENGTH],
        metavar="N",
        help=f"three repeats of the cell, or the smallest length of its sides in Å (default: {LENGTH:g} Å)",
    )
    add("-o", "--output", default="phonons", metavar="FOLDER", help="default: %(default)s")
    add("--overwrite", action="store_true", help="replace the files of an earlier run in FOLDER")
    add("--displacement", type=float, default=0.01, metavar="A", help="default: %(default)g Å")
    add("--no-relax", action="store_true", help="do not relax the structure")
    add(
        "--fmax",
        type=float,
        default=0.001,
        metavar="EV_PER_A",
        help="largest force after the relaxation (default: %(default)g)",
    )
    add(
        "--smax",
        type=float,
        default=0.01,
        metavar="GPA",
        help="largest stress after the relaxation (default: %(default)g)",
    )
    add("--pressure", type=float, default=0.0, metavar="GPA", help="of the relaxation (default: %(default)g)")
    add(
        "--steps",
        type=int,
        default=500,
        metavar="N",
        help="largest number of relaxation steps (default: %(default)s)",
    )
    add(
        "--tmax",
        type=float,
        default=1000.0,
        metavar="K",
        help="highest temperature of the thermal properties (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Relax the crystal, compute its phonons, write the output folder and print frequencies and warnings."""
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
        require_absent(folder / name, args.overwrite)
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
        result = phonons(
            atoms,
            calculator,
            supercell,
            displacement=args.displacement,
            temperatures=np.linspace(0, args.tmax, 101).tolist(),
            progress=lambda k, of: progress.update(
                task, completed=k, total=of, message=f"{k} of {of}, {speed(progress, task, k)}"
            ),
        )
        progress.update(task, message="bands, density of states")
        write_phonons(folder, result)
    for table in _tables(result):
        console.print(table)
    console.print(
        f"acoustic frequencies at Γ before the sum rule was imposed: {result.acoustic:.3f} THz", markup=False
    )
    for mode in result.imaginary:
        console.print(f"Warning: {mode.sentence()}.", style="yellow", markup=False, soft_wrap=True)
    name_extrapolation(calculator)
    console.print(f"written to {folder}: {', '.join(files)}", markup=False, soft_wrap=True)
    return 0


def _supercell(numbers: list[float], atoms: Atoms) -> tuple[int, int, int]:
    from equipot.properties.phonons import supercell_of_length

    if len(numbers) == 1 and 1 <= numbers[0] <= 4 and numbers[0] == int(numbers[0]):
        n = int(numbers[0])
        raise ConfigError(
            f"--supercell {n} means a length of {n} Å; for repeats of the cell give {n} {n} {n}"
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
    args: argparse.Namespace, atoms: Atoms, calculator: "EquipotCalculator", path: Path, console: Console
) -> Atoms:
    from equipot.simulation.relaxation import check_options, relax
    from equipot.simulation.structures import append_frame, snapshot

    check_options(args.fmax, args.smax, "full", args.pressure, args.steps, "LBFGS")
    with console.status("relaxing ..."):
        relaxed = relax(
            atoms,
            calculator,
            fmax=args.fmax,
            smax=args.smax,
            cell="full",
            pressure=args.pressure,
            steps=args.steps,
            symmetry=True,
        )
    end = relaxed.end
    if not relaxed.converged:
        raise NumericsError(
            f"{args.structure} did not relax in {end.step} steps: forces {end.fmax:.2g} eV/Å, "
            f"stress {end.excess:.2g} GPa; "
            "give more --steps, a looser --fmax or --smax, or --no-relax"
        )
    with path.open("w", encoding="utf-8") as file:
        append_frame(file, path, snapshot(relaxed.atoms))
    console.print(
        f"relaxed in {end.step} steps: {end.energy / len(atoms):.6f} eV/atom, forces {end.fmax:.1e} eV/Å, "
        f"cell {' '.join(f'{x:.6g}' for x in relaxed.atoms.cell.cellpar())}",
        markup=False,
        soft_wrap=True,
    )
    name_unknown_volume(calculator, [relaxed.atoms])
    return relaxed.atoms


def _tables(result: "Phonons") -> list[Table]:
    gamma = Table(title="Frequencies at Γ", title_justify="left")
    for column in ("THz", "1/cm", "modes"):
        gamma.add_column(column, justify="right")
    for frequency, count in degenerate(result.gamma):
        frequency = round(frequency, 3) + 0.0  # turns -0.0 into 0.0
        gamma.add_row(f"{frequency:.3f}", f"{frequency * PER_CM:.1f}", str(count))
    thermal = Table(title="Thermal properties per mole of primitive cells", title_justify="left")
    for column in ("K", "free energy kJ", "entropy J/K", "heat capacity J/K"):
        thermal.add_column(column, justify="right")
    for row in result.thermal[:: max(1, (len(result.thermal) - 1) // 5)]:
        thermal.add_row(f"{row[0]:g}", *(f"{x:.3f}" for x in row[1:]))
    return [gamma, thermal]


def degenerate(frequencies: np.ndarray, tolerance: float = 0.01) -> list[tuple[float, int]]:
    """Group degenerate frequencies.

    Args:
        frequencies: THz.
        tolerance: THz, the largest difference of successive frequencies in a group.

    Returns:
        the mean and the number of the frequencies of each group.
    """
    groups: list[list[float]] = []
    for f in np.sort(frequencies):
        if groups and f - groups[-1][-1] < tolerance:
            groups[-1].append(float(f))
        else:
            groups.append([float(f)])
    return [(float(np.mean(group)), len(group)) for group in groups]
