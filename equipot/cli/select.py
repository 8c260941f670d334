"""`equipot select`: choose the structures that are worth labelling next."""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from equipot.cli.labels import add_label_options
from equipot.cli.simulation import output_file
from equipot.errors import ConfigError

DESCRIPTION = """Choose structures to label: unlike the training set of a model, and unlike each other.

The model grades the atoms of all structures. The first choice has the atom with the highest grade, and each further one
the atom that those before explain least. Structures that are near to each other in time are therefore not taken twice.
docs/uncertainty.md describes the rule.
"""

EXAMPLES = """examples:
  equipot select model.pt md-unlike.extxyz -n 20 -o label.extxyz
  equipot select model.pt pool.extxyz -n 50 --between 1 10 -o label.extxyz
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.add_argument("model", metavar="MODEL", help="model file with extrapolation grades")
    parser.add_argument("files", nargs="+", metavar="FILE", help="structures, in any format of ASE")
    parser.add_argument("-n", type=int, required=True, help="number of structures to choose")
    parser.add_argument(
        "--between",
        type=float,
        nargs=2,
        default=(0.0, np.inf),
        metavar=("LOW", "HIGH"),
        help="of the highest grade of a structure; others are left out, such as those of a simulation that fell apart",
    )
    parser.add_argument(
        "-o", "--output", default="selected.extxyz", metavar="FILE", help="default: %(default)s"
    )
    add_label_options(parser)


def run(args: argparse.Namespace) -> int:
    """Choose, write the structures and print a table."""
    if args.n < 1:
        raise ConfigError(f"-n is {args.n}; expected a number of structures of 1 or more")
    low, high = args.between
    if not 0 <= low <= high:
        raise ConfigError(f"--between is {low:g} {high:g}; expected two grades, the lower one first")
    output = output_file(args.output, "--output", args.files)
    import ase.io

    from equipot.data.graph import graph_from_frame
    from equipot.model_file import load_potential
    from equipot.species import SpeciesMap
    from equipot.structures.labels import LabelKeys
    from equipot.structures.reading import read_frames
    from equipot.uncertainty.select import select

    potential = load_potential(args.model)
    if potential.grade is None:
        raise ConfigError(
            f"{args.model} gives no extrapolation grades; add them with "
            f"`equipot uncertainty {args.model} train.extxyz -o {args.model}`"
        )
    frames = read_frames(args.files, LabelKeys.from_values(vars(args)))
    species = SpeciesMap(potential.type_names)
    graphs = (graph_from_frame(frame, species, potential.spec.cutoffs) for frame in frames)
    chosen = select(potential, graphs, args.n, low, high)
    console = Console()
    if not chosen:
        raise ConfigError(f"no structure has a highest grade between {low:g} and {high:g}")
    table = Table(title=f"Chosen of {len(frames)} structures", title_justify="left")
    for column in ("structure", "highest grade", "for its atom", "not explained by those above"):
        table.add_column(column, justify="right")
    structures = []
    for c in chosen:
        atoms = frames[c.frame].to_atoms()
        atoms.info.update(gamma=round(c.grade, 6), source=frames[c.frame].source)
        structures.append(atoms)
        name = f"{c.atom} ({atoms.symbols[c.atom]})" if len(atoms) else "–"
        table.add_row(str(c.frame), f"{c.grade:.3g}", name, f"{c.left:.3g}")
    ase.io.write(Path(output), structures, format="extxyz")
    console.print(table)
    if len(chosen) < args.n:
        console.print(f"only {len(chosen)} structures were candidates", markup=False)
    console.print(f"written to {output}", markup=False)
    return 0
