"""`equipot benchmark`: measure the speed of a model on this machine, in total and for each part of a step."""

import argparse
import json
from pathlib import Path

from rich.console import Console

from equipot.errors import ConfigError, EquipotError

DESCRIPTION = """Time the steps of a model, part by part, and print which share of the processor's peak they reach.

Without STRUCTURE, the command builds a slightly rattled crystal of the model's elements. The speed depends on the
numbers of atoms and neighbours and hardly on their positions, so give your own structure if its density differs.
"""

EXAMPLES = """examples:
  equipot benchmark runs/silicon/model.pt
  equipot benchmark model.pt water.extxyz --atoms 5000 --threads 4
  equipot benchmark model.pt --atoms 10000 --seconds 30 --json speed.json
  equipot benchmark model.pt --atoms 50000 --device cuda

Each thread needs a core of its own: on a machine with other jobs, more threads take longer and the measured peak is
too small. OMP_NUM_THREADS sets the default. EQUIPOT_ENGINE=off times the model without the compiled kernels.
On a GPU, the time of a part includes the wait until the GPU has finished, and the memory is torch's peak allocation.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.add_argument("model", metavar="MODEL", help="model file")
    parser.add_argument(
        "structure",
        metavar="STRUCTURE",
        nargs="?",
        help="a file in any format of ASE; its last frame is used",
    )
    parser.add_argument(
        "--atoms",
        type=int,
        metavar="N",
        help="repeat the structure to at least N atoms (default: 1000 without STRUCTURE, else no repeat)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="number of threads (default: torch's)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=6.0,
        help="length of the measurement; a longer one gives a steadier median (default: %(default)g)",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="measure N steps instead of --seconds")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--json", metavar="FILE", help="also write all figures to this file")


def run(args: argparse.Namespace) -> int:
    """Measure the speed, print the tables and write the JSON file."""
    for name, unit in (("atoms", "number of atoms"), ("threads", "number"), ("steps", "number")):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name} is {value}; expected a {unit} of 1 or more")
    if not args.seconds > 0:
        raise ConfigError(f"--seconds is {args.seconds:g}; expected a positive time")
    if args.json and Path(args.json).is_dir():
        raise ConfigError(f"--json: {args.json} is a folder; expected the name of a file")
    if args.json and not Path(args.json).absolute().parent.is_dir():
        raise ConfigError(f"--json: the folder of {args.json} does not exist; make it first")

    import torch

    from equipot.model_file import load_model
    from equipot.simulation.structures import read_structure
    from equipot.speed.measure import measure
    from equipot.speed.structure import crystal, repeat
    from equipot.speed.tables import print_tables

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    model = load_model(args.model, args.device)
    if args.structure is None:
        atoms = crystal(model.metadata.type_names, args.atoms or 1000)
    else:
        atoms = repeat(read_structure(args.structure), args.atoms or 1)
    console = Console()
    try:
        with console.status("measuring ..."):
            figures = measure(model, atoms, args.seconds, args.steps)
    except torch.OutOfMemoryError:
        raise EquipotError(
            f"{len(atoms)} atoms need more memory than {args.device} has free; use fewer atoms (--atoms)"
        ) from None
    print_tables(console, figures)
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")
        console.print(f"written to {args.json}", markup=False, highlight=False)
    return 0
