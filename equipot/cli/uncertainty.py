"""`equipot uncertainty`: add extrapolation grades to a model file."""

import argparse
from pathlib import Path

from rich.console import Console

from equipot.cli.labels import add_label_options

DESCRIPTION = """Add extrapolation grades to a model file: is an atom like those of these structures?

A training does this by itself. The command is for converted models, for models of earlier versions, and for grades that
refer to other structures than those of the training. docs/uncertainty.md says what a grade means.
"""

EXAMPLES = """examples:
  equipot uncertainty converted.pt train.extxyz -o graded.pt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.add_argument("model", metavar="MODEL", help="model file")
    parser.add_argument("files", nargs="+", metavar="FILE", help="structures, in any format of ASE")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="model file to write; may be MODEL"
    )
    add_label_options(parser)


def run(args: argparse.Namespace) -> int:
    """Fit the grades, and write the model with them."""
    from equipot.data.graph import graph_from_frame
    from equipot.model_file import load_potential, read_metadata, write_model
    from equipot.species import SpeciesMap
    from equipot.structures.labels import LabelKeys
    from equipot.structures.reading import read_frames
    from equipot.uncertainty.grade import fit_grade

    metadata = read_metadata(args.model)
    potential = load_potential(args.model)
    species, cutoffs = SpeciesMap(potential.type_names), potential.spec.cutoffs
    frames = read_frames(args.files, LabelKeys.from_values(vars(args)))
    fit = fit_grade(potential, (graph_from_frame(frame, species, cutoffs) for frame in frames))
    path = write_model(
        Path(args.output),
        fit.potential,
        statistics=metadata.statistics,
        config=metadata.config,
        training={**metadata.training, "extrapolation_grade": fit.summary()},
    )
    counts = ", ".join(f"{n} {name}" for name, n in fit.atoms.items() if n)
    Console().print(f"grades of {fit.frames} structures ({counts} atoms) are in {path}", markup=False)
    unknown = [name for name, n in fit.atoms.items() if not n]
    if unknown:
        Console().print(f"no atoms of {', '.join(unknown)}: their grade is infinite", markup=False)
    return 0
