"""`equipot md`: run molecular dynamics at constant energy, temperature or pressure."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from rich.console import Console

from equipot.cli.md_output import Display
from equipot.cli.simulation import (
    add_model_arguments,
    load_calculator,
    name_extrapolation,
    name_lost_constraints,
    output_file,
)
from equipot.errors import ConfigError, DataError

if TYPE_CHECKING:
    from equipot.calculators import EquipotCalculator
    from equipot.simulation.dynamics import Ensemble
    from equipot.simulation.md_files import MDFiles, MDState, Observation

DESCRIPTION = """Run molecular dynamics with a model and ASE's integrators. For large systems, use `equipot lammps`.

  nve   constant energy: velocity Verlet
  nvt   constant temperature: --thermostat bussi (stochastic velocity rescaling), langevin or nose-hoover (chains)
  npt   constant temperature and pressure: Martyna-Tobias-Klein chains, --cell isotropic or full

Initial velocities are drawn at --temperature, without a drift of the centre of mass. A run writes three files:
  FILE.extxyz      a frame every --interval steps: unwrapped positions, velocities, energy, forces and stress
  FILE.csv         a row every --log-interval steps
  FILE.state.npz   the state, from which --restart continues

A model that knows its training set grades each atom: above 1, an atom is unlike all training atoms. The highest grade
is the column gamma of FILE.csv, and those of all atoms are the column gamma of the frames. A high grade is a warning.
"""

EXAMPLES = """examples:
  equipot md POSCAR -m model.pt --ensemble nvt --temperature 300 --time 10
  equipot md si.cif -m model.pt --ensemble nve --temperature 600 --time 5 --repeat 3 3 3 -o nve.extxyz
  equipot md si.cif -m model.pt --ensemble npt --temperature 1000 --pressure 1 --time 20 --repeat 3 3 3
  equipot md water.xyz -m model.pt --ensemble nvt --temperature 330 --timestep 0.5 --time 2
  equipot md POSCAR -m model.pt --ensemble nvt --temperature 300 --time 20 --restart     continues the first

--time is the length of the whole run, so the same command with --restart finishes an interrupted run. A restart
restores all variables exactly; only the order of sums over neighbours may differ, which changes their rounding.
Ctrl-C writes a last frame. The conserved energy should not drift. It is the total energy, minus the heat from the
bussi thermostat or plus the energy of the chains. If it drifts by a few meV per atom in 10 ps, --timestep is too long.
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
    add("--ensemble", choices=("nve", "nvt", "npt"), required=True, help="constant quantities, see above")
    add("--temperature", type=float, metavar="K", help="of the thermostat and of the initial velocities")
    add("--pressure", type=float, default=0.0, metavar="GPA", help="of npt (default: %(default)g)")
    add("--time", type=float, required=True, metavar="PS", help="length of the whole run")
    add(
        "--timestep",
        type=float,
        default=1.0,
        metavar="FS",
        help="default: %(default)g; use 0.5 with hydrogen",
    )
    add(
        "--thermostat",
        choices=("bussi", "langevin", "nose-hoover"),
        default="bussi",
        help="default: %(default)s",
    )
    add("--thermostat-time", type=float, default=100.0, metavar="FS", help="default: %(default)g")
    add("--barostat-time", type=float, default=1000.0, metavar="FS", help="default: %(default)g")
    add("--cell", choices=("isotropic", "full"), default="isotropic", help="of npt (default: %(default)s)")
    add("--repeat", type=int, nargs=3, default=(1, 1, 1), metavar="N", help="supercell of STRUCTURE")
    add("--keep-velocities", action="store_true", help="start with the velocities of STRUCTURE")
    add("--seed", type=int, default=1, help="of the velocities and the thermostat (default: %(default)s)")
    add("-o", "--output", default="md.extxyz", metavar="FILE", help="trajectory (default: %(default)s)")
    add("--interval", type=int, default=100, metavar="STEPS", help="between frames (default: %(default)s)")
    add("--log-interval", type=int, default=10, metavar="STEPS", help="between rows (default: %(default)s)")
    add(
        "--stop-above",
        type=float,
        default=np.inf,
        metavar="GRADE",
        help="end the run when an atom's extrapolation grade is higher (docs/uncertainty.md), e.g. 5",
    )
    add(
        "--save-above",
        type=float,
        default=np.inf,
        metavar="GRADE",
        help="also write frames with a higher grade, every --log-interval steps at most, to FILE-unlike.extxyz",
    )
    add("--restart", action="store_true", help="continue the run in FILE")
    add("--overwrite", action="store_true", help="replace the run in FILE")


def run(args: argparse.Namespace) -> int:
    """Prepare the run, integrate and print a summary."""
    ensemble, total = _options(args)
    trajectory = output_file(args.output, "--output", [args.structure])
    from equipot.simulation.dynamics import conserved_energy, integrator, set_hidden_state
    from equipot.simulation.md_files import MDFiles
    from equipot.simulation.simulation import Recorder, simulate
    from equipot.simulation.structures import read_structure, repeated

    files = MDFiles(trajectory)
    if trajectory.exists() and not (args.restart or args.overwrite) and not trajectory.is_char_device():
        raise ConfigError(
            f"{trajectory} exists; continue it with --restart, replace it with --overwrite, or give another --output"
        )
    if args.restart and not trajectory.exists():
        raise ConfigError(f"--restart: {trajectory} does not exist; leave out --restart to start a new run")
    atoms = repeated(read_structure(args.structure), args.repeat)
    rng = np.random.default_rng(args.seed)
    console = Console(highlight=False)
    state = _last_state(files, atoms, ensemble) if args.restart else None
    first_step, first_time = (state.step, state.time_ps) if state else (0, 0.0)
    n_steps = round((total - first_time) * 1000 / ensemble.timestep)
    if n_steps <= 0 and state:
        console.print(
            f"{trajectory} already has {first_time:g} ps; give a longer --time to continue it",
            markup=False,
            soft_wrap=True,
        )
        return 0
    name_lost_constraints([atoms], [trajectory])
    calculator = load_calculator(args.model, args.device, [atoms])
    atoms.calc = calculator
    if state is None:
        _velocities(args, atoms, rng)
    else:
        state.put_into(atoms)
        if state.random:
            rng.bit_generator.state = state.random
    dynamics = integrator(atoms, ensemble, rng)
    reference = None
    if state is not None:
        discontinuities = _discontinuities(state, ensemble, atoms, files)
        if not discontinuities and set_hidden_state(dynamics, state.hidden):
            reference = state.reference
        for sentence in discontinuities:
            console.print(sentence, markup=False, soft_wrap=True)
    if reference is None:
        reference = conserved_energy(dynamics)
    unlike = _unlike(args, trajectory, calculator)
    with files.open_again(state if state and state.random else None) if state else files.open_new():
        recorder = Recorder(files, dynamics, ensemble, rng, reference)
        with Display(console, recorder, args.model, ensemble, first_step, first_step + n_steps) as display:

            def each(now: "Observation") -> None:
                display.row(now)
                unlike(now, atoms)

            try:
                simulate(
                    dynamics,
                    n_steps,
                    first_step=first_step,
                    first_time=first_time,
                    each=each,
                    each_interval=args.log_interval,
                    keep=recorder.frame,
                    keep_interval=args.interval,
                    stop_above=args.stop_above,
                )
            except KeyboardInterrupt as interrupt:
                raise KeyboardInterrupt(f"{interrupt}; --restart continues {trajectory}") from None
        display.summary()
    name_extrapolation(calculator)
    console.print(f"written to {trajectory}, {files.log}, {files.state}", markup=False, soft_wrap=True)
    return 0


def _unlike(
    args: argparse.Namespace, trajectory: Path, calculator: "EquipotCalculator"
) -> "Callable[[Observation, Atoms], None]":
    """Return the function that writes frames above --save-above.

    Raise ConfigError for a model without grades, if one of the options needs them.
    """
    from equipot.quantities import GAMMA
    from equipot.simulation.structures import append_frame, snapshot

    for name in ("stop_above", "save_above"):
        if np.isfinite(getattr(args, name)) and GAMMA not in calculator.outputs:
            raise ConfigError(
                f"--{name.replace('_', '-')}: {args.model} gives no extrapolation grades; add them with "
                f"`equipot uncertainty {args.model} train.extxyz -o {args.model}`"
            )
    path = trajectory.with_name(f"{trajectory.stem}-unlike{trajectory.suffix}")
    if not args.restart:
        path.unlink(missing_ok=True)

    def write(now: "Observation", atoms: Atoms) -> None:
        if now.gamma is not None and now.gamma > args.save_above:
            with path.open("a", encoding="utf-8") as file:
                append_frame(file, path, snapshot(atoms, step=now.step, time_ps=round(now.time_ps, 9)))

    return write


def _options(args: argparse.Namespace) -> "tuple[Ensemble, float]":
    from equipot.simulation.dynamics import Ensemble

    for name in ("stop_above", "save_above"):
        if not getattr(args, name) > 0:
            raise ConfigError(
                f"--{name.replace('_', '-')} is {getattr(args, name):g}; expected a positive grade"
            )
    for name in ("interval", "log_interval"):
        if getattr(args, name) < 1:
            raise ConfigError(
                f"--{name.replace('_', '-')} is {getattr(args, name)}; expected a number of 1 or more"
            )
    if not 0 < args.time < np.inf:
        raise ConfigError(f"--time is {args.time:g} ps; expected a positive time")
    if args.seed < 0:
        raise ConfigError(f"--seed is {args.seed}; expected 0 or more")
    if args.restart and args.overwrite:
        raise ConfigError("--restart continues a run and --overwrite replaces it; give only one of them")
    if args.pressure != 0 and args.ensemble != "npt":
        raise ConfigError(
            f"--pressure is given, but the ensemble is {args.ensemble}; only npt takes a pressure"
        )
    if args.temperature is None and not args.keep_velocities and not args.restart:
        raise ConfigError(
            "no --temperature is given; expected one in K, or --keep-velocities to use the velocities of STRUCTURE"
        )
    ensemble = Ensemble(
        args.ensemble,
        args.timestep,
        args.temperature,
        args.pressure,
        args.thermostat,
        args.thermostat_time,
        args.barostat_time,
        args.cell,
    )
    if args.time * 1000 < 0.5 * args.timestep:
        raise ConfigError(
            f"--time {args.time:g} ps is shorter than a step of {args.timestep:g} fs; give a longer --time"
        )
    return ensemble, args.time


def _velocities(args: argparse.Namespace, atoms: Atoms, rng: np.random.Generator) -> None:
    from equipot.simulation.dynamics import set_velocities

    if not args.keep_velocities:
        set_velocities(atoms, args.temperature, rng)
    elif not atoms.has("momenta"):
        raise DataError(f"--keep-velocities: {args.structure} has no velocities; give --temperature instead")


def _last_state(files: "MDFiles", atoms: Atoms, ensemble: "Ensemble") -> "MDState":
    """Return the state from the state file. Without one, return the state that the trajectory's last frame holds."""
    from equipot.simulation.md_files import MDState, read_state
    from equipot.simulation.structures import read_structures

    if files.state.exists():
        state = read_state(files.state)
        state.put_into(atoms)  # raises an error for other atoms before the model is loaded
        return state
    last = read_structures(str(files.trajectory))[-1]
    if not last.has("momenta") or "step" not in last.info:
        raise DataError(
            f"{files.trajectory}: its last frame has no momenta and step; expected a file of `equipot md`"
        )
    state = MDState(
        step=int(last.info["step"]),
        time_ps=float(last.info["time_ps"]),
        numbers=last.numbers,
        positions=last.positions,
        momenta=last.get_momenta(),
        cell=last.cell.array,
        potential=float("nan"),
        ensemble=ensemble.to_dict(),
        random={},
        hidden={},
        reference=None,
    )
    state.put_into(atoms)
    return state


def _discontinuities(state: "MDState", ensemble: "Ensemble", atoms: Atoms, files: "MDFiles") -> list[str]:
    """Return a sentence for each reason why the restart does not continue the run exactly."""
    if not state.random:
        return [
            f"{files.state} is missing: continuing from the last frame of {files.trajectory}, rounded to 1e-8 Å; "
            "the thermostat, the random numbers and the energy balance start anew."
        ]
    now: dict[str, Any] = ensemble.to_dict()
    changed = [
        f"{k.replace('_', ' ')} {state.ensemble.get(k)} → {v}"
        for k, v in now.items()
        if state.ensemble.get(k) != v
    ]
    if state.ensemble.get("name") != ensemble.name:
        changed = [f"ensemble {state.ensemble.get('name')} → {ensemble.name}"]
    sentences = []
    if changed:
        sentences.append(
            f"Changed since the last frame: {', '.join(changed)}; the thermostat and the energy balance start anew."
        )
    difference = abs(atoms.get_potential_energy() - state.potential) / len(atoms)
    if difference > 1e-4:
        sentences.append(
            f"The energy of the last frame differs by {1000 * difference:.3g} meV/atom from the stored one: "
            "this is another model, and the energy balance starts anew."
        )
    return sentences
