"""`equipot relax`: relax structures to the nearest minimum of the energy."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms
from rich.console import Console
from rich.table import Table

from equipot.cli.simulation import (
    add_model_arguments,
    bar,
    begin,
    load_calculator,
    name_extrapolation,
    name_lost_constraints,
    name_unknown_volume,
    output_file,
    require_absent,
)
from equipot.errors import EquipotError, NumericsError

if TYPE_CHECKING:
    from equipot.simulation.relaxation import Relaxed, State

DESCRIPTION = """Relax structures with a model: the atoms, and with --cell also the cell.

All structures of a file are relaxed, one after the other. OUTPUT gets the last step of each with its energy, forces
and stress. A second file, OUTPUT-steps, gets every step. A structure has converged when no force is larger than
--fmax and no stress that the cell can relax is larger than --smax. Atoms with a constraint in the file stay fixed.
"""

EXAMPLES = """cells:
  none        the cell is fixed
  full        all six components relax
  isotropic   the volume relaxes; the shape is fixed
  volume      the shape relaxes; the volume is fixed
  xy          the components in the plane relax, for layers and slabs with a periodic vacuum

The cell relaxes only along the periodic directions. For a layer with pbc (T, T, F), `full` relaxes lengths and angle of
the plane, `isotropic` its area and `volume` its shape. The third vector stays. Its stress is divided by the volume of
the whole cell, and its pressure is that along the plane.

examples:
  equipot relax POSCAR -m model.pt                           atoms only; writes relaxed.extxyz
  equipot relax crystal.cif -m model.pt --cell full          atoms, shape and volume
  equipot relax crystal.cif -m model.pt --cell isotropic --pressure 10
  equipot relax slabs.extxyz -m model.pt -o slabs-relaxed.extxyz --fmax 0.02
  equipot relax graphene.extxyz -m model.pt --cell full      the plane of a layer with pbc (T, T, F)
  equipot relax run.traj@-1 -m model.pt --cell full --symmetry
  equipot relax crystal.cif -m sevenn:7net-0 --cell full     a published model of 89 elements

The exit code is 1 if a structure did not converge. The files are written nevertheless.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.add_argument(
        "structure", metavar="STRUCTURE", help="a file in any format of ASE; name@-1 is its last frame"
    )
    add_model_arguments(parser)
    parser.add_argument(
        "-o",
        "--output",
        default="relaxed.extxyz",
        metavar="FILE",
        help="extended XYZ (default: %(default)s)",
    )
    parser.add_argument(
        "--fmax",
        type=float,
        default=0.01,
        metavar="EV_PER_A",
        help="largest force at the end (default: %(default)g)",
    )
    parser.add_argument(
        "--smax",
        type=float,
        default=0.01,
        metavar="GPA",
        help="largest stress at the end that the cell can relax (default: %(default)g)",
    )
    parser.add_argument(
        "--cell",
        choices=("none", "full", "isotropic", "volume", "xy"),
        default="none",
        help="parts of the cell that relax, see below (default: %(default)s)",
    )
    parser.add_argument("--pressure", type=float, default=0.0, metavar="GPA", help="default: %(default)g")
    parser.add_argument(
        "--steps", type=int, default=500, metavar="N", help="largest number of steps (default: %(default)s)"
    )
    parser.add_argument(
        "--optimizer", choices=("LBFGS", "BFGS", "FIRE"), default="LBFGS", help="default: %(default)s"
    )
    parser.add_argument(
        "--symmetry",
        action="store_true",
        help="keep the space group, which is found with a tolerance of 0.01 Å (needs spglib)",
    )
    parser.add_argument("--no-trajectory", action="store_true", help="do not write the file of all steps")
    parser.add_argument("--overwrite", action="store_true", help="replace the files of an earlier run")


def run(args: argparse.Namespace) -> int:
    """Relax all structures, write them and print a table. Raise NumericsError if one did not converge."""
    from equipot.simulation.relaxation import check_options, check_structure
    from equipot.simulation.structures import read_structures

    check_options(args.fmax, args.smax, args.cell, args.pressure, args.steps, args.optimizer)
    structures = read_structures(args.structure)
    output = output_file(args.output, "--output", [args.structure])
    steps = None
    if not args.no_trajectory:
        steps = output_file(
            str(output.with_name(f"{output.stem}-steps{output.suffix}")), "--output", [args.structure]
        )
    for path in (output, steps):
        if path is not None:
            require_absent(path, args.overwrite)
    name_lost_constraints(structures, [path for path in (output, steps) if path is not None])
    calculator = load_calculator(args.model, args.device, structures)
    for k, atoms in enumerate(structures):
        try:
            check_structure(atoms, calculator, args.cell, args.symmetry)
        except EquipotError as error:
            raise type(error)(f"{args.structure}, structure {k}: {error}") from None
    console = Console(highlight=False)
    try:
        failed = _relax_all(args, structures, calculator, output, steps, console)
    except KeyboardInterrupt:
        written = [str(path) for path in (output, steps) if path is not None and path.stat().st_size]
        message = f"the finished steps are in {' and '.join(written)}" if written else ""
        raise KeyboardInterrupt(message) from None
    finally:
        if output.is_file() and output.stat().st_size == 0:
            output.unlink()  # no structure was finished: an empty file would look like a result
    name_extrapolation(calculator)
    console.print(
        f"written to {output}" + (f", every step to {steps}" if steps else ""), markup=False, soft_wrap=True
    )
    if failed:
        raise NumericsError(
            (f"structures {', '.join(failed)} of {args.structure}" if len(structures) > 1 else args.structure)
            + f" did not relax to {args.fmax:g} eV/Å"
            + (f" and {args.smax:g} GPa" if args.cell != "none" else "")
            + f" in {args.steps} steps; continue from {output}, give more --steps, or try --optimizer FIRE"
        )
    return 0


def _relax_all(
    args: argparse.Namespace,
    structures: Sequence[Atoms],
    calculator: Any,
    output: Path,
    steps: Path | None,
    console: Console,
) -> list[str]:
    """Relax, write and print all structures. Return the numbers of the structures that did not converge."""
    from equipot.simulation.relaxation import relax
    from equipot.simulation.structures import append_frame, snapshot

    single = len(structures) == 1
    failed = []
    moved: list[Atoms] = []
    console.print(HEADER_OF_STEPS if single else HEADER, style="bold", markup=False, soft_wrap=True)
    with ExitStack() as files:
        ends = files.enter_context(output.open("w", encoding="utf-8"))
        every = files.enter_context(steps.open("w", encoding="utf-8")) if steps else None
        progress = files.enter_context(bar(console))
        task = begin(progress, "relaxing", len(structures))
        for k, atoms in enumerate(structures):

            def show(state: "State", moving: Atoms, k: int = k) -> None:
                if every is not None and steps is not None:
                    append_frame(every, steps, snapshot(moving, structure=k, step=state.step))
                progress.update(task, message=f"structure {k}, step {state.step}, {state.fmax:.3g} eV/Å")
                if single:
                    console.print(_row_of_step(state), markup=False, soft_wrap=True)

            try:
                relaxed = relax(
                    atoms,
                    calculator,
                    fmax=args.fmax,
                    smax=args.smax,
                    cell=args.cell,
                    pressure=args.pressure,
                    steps=args.steps,
                    optimizer=args.optimizer,
                    symmetry=args.symmetry,
                    each_step=show,
                )
            except EquipotError as error:
                raise type(error)(f"{args.structure}, structure {k}: {error}") from None
            moved.append(relaxed.atoms)
            end = snapshot(relaxed.atoms, converged=relaxed.converged, steps=relaxed.end.step)
            append_frame(ends, output, end)
            if not relaxed.converged:
                failed.append(str(k))
            if not single:
                console.print(_row(k, relaxed), markup=False, soft_wrap=True)
            progress.update(task, completed=k + 1)
    if single:
        console.print(_summary(relaxed))
    if args.cell not in ("none", "volume"):
        name_unknown_volume(calculator, moved)
    return failed


HEADER_OF_STEPS = f"{'step':>5} {'energy eV':>16} {'force eV/Å':>11} {'pressure GPa':>13} {'volume Å³':>11}"
HEADER = f"{'':>5} {'formula':<12} {'energy eV':>15} {'force eV/Å':>10} {'P GPa':>9} {'volume Å³':>10} {'steps':>5}"


def _row_of_step(state: "State") -> str:
    cell = f"{'–':>13} {'–':>11}"
    if state.pressure is not None:
        cell = f"{state.pressure:>13.4f} {state.volume:>11.3f}"
    return f"{state.step:>5} {state.energy:>16.6f} {state.fmax:>11.2e} {cell}"


def _row(k: int, relaxed: "Relaxed") -> str:
    end, formula = relaxed.end, relaxed.atoms.get_chemical_formula(empirical=True)
    volume = (f"{'–':>9} {'–':>10}") if end.pressure is None else f"{end.pressure:>9.3f} {end.volume:>10.2f}"
    row = f"{k:>5} {formula[:12]:<12} {end.energy:>15.5f} {end.fmax:>10.2e} {volume} {end.step:>5}"
    return row if relaxed.converged else row + " not converged"


def _summary(relaxed: "Relaxed") -> Table:
    """Return a table of the first and the last step."""
    atoms = relaxed.atoms
    table = Table(title=f"{atoms.get_chemical_formula()}, {len(atoms)} atoms", title_justify="left")
    table.add_column("")
    table.add_column("start", justify="right")
    table.add_column("end", justify="right")
    both = (relaxed.start, relaxed.end)
    table.add_row("energy (eV)", *(f"{s.energy:.6f}" for s in both))
    table.add_row("energy (eV/atom)", *(f"{s.energy / len(atoms):.6f}" for s in both))
    table.add_row("largest force (eV/Å)", *(f"{s.fmax:.2e}" for s in both))
    if relaxed.end.pressure is not None:
        table.add_row("pressure (GPa)", *(f"{s.pressure:.4f}" for s in both))
        table.add_row("volume (Å³)", *(f"{s.volume:.3f}" for s in both))
        lengths = atoms.cell.cellpar()
        table.add_row("cell (Å, °)", "", " ".join(f"{x:.5g}" for x in lengths))
    table.add_row("steps", "", f"{relaxed.end.step}" + ("" if relaxed.converged else ", not converged"))
    return table
