"""`equipot uncertainty`: add extrapolation grades and predicted errors to a model file."""

import argparse
from pathlib import Path

from rich.console import Console

from equipot.cli.labels import add_label_options
from equipot.errors import ConfigError

DESCRIPTION = """Add to a model file how far it can be trusted.

Extrapolation grades say whether an atom is like those of the FILEs. With --calibrate, the model also predicts the
errors of its forces and energies, by a committee of last layers that agree with the FILEs. The size of these errors is
measured in the labelled frames of --calibrate, which the training must not have seen.

A training does all this by itself. The command is for converted models, for models of earlier versions, and for grades
that refer to other structures than those of the training. docs/uncertainty.md says what the numbers mean.
"""

EXAMPLES = """examples:
  equipot uncertainty converted.pt train.extxyz --calibrate validation.extxyz -o graded.pt
  equipot uncertainty converted.pt structures-without-labels.extxyz -o graded.pt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.add_argument("model", metavar="MODEL", help="model file")
    parser.add_argument("files", nargs="+", metavar="FILE", help="structures, in any format of ASE")
    parser.add_argument(
        "--calibrate",
        nargs="+",
        metavar="FILE",
        help="labelled frames that the training has not seen, for predicted errors",
    )
    parser.add_argument(
        "--members",
        type=int,
        default=None,
        metavar="N",
        help="members of the committee (default: 16); more of them cost more time in each prediction of errors",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="model file to write; may be MODEL"
    )
    add_label_options(parser)


def run(args: argparse.Namespace) -> int:
    """Fit grades and members, and write the model with them."""
    from equipot.data.graph import graph_from_frame
    from equipot.model_file import load_potential, read_metadata, write_model
    from equipot.network.variants import without_uncertainty
    from equipot.species import SpeciesMap
    from equipot.structures.labels import LabelKeys
    from equipot.structures.reading import read_frames
    from equipot.uncertainty.grade import fit_grade, shuffled
    from equipot.uncertainty.members import N_MEMBERS, WEIGHTS, calibration_of, with_committee

    if args.members is not None and (args.members < 2 or not args.calibrate):
        raise ConfigError(f"--members is {args.members}; expected 2 or more, together with --calibrate")
    console = Console()
    metadata = read_metadata(args.model)
    potential = without_uncertainty(load_potential(args.model))
    species, cutoffs = SpeciesMap(potential.type_names), potential.spec.cutoffs
    keys = LabelKeys.from_values(vars(args))
    graphs = [graph_from_frame(frame, species, cutoffs) for frame in read_frames(args.files, keys)]
    grade = fit_grade(potential, shuffled(graphs))
    potential, summary = grade.potential, {"extrapolation_grade": grade.summary()}
    if args.calibrate:
        held_out = [graph_from_frame(frame, species, cutoffs) for frame in read_frames(args.calibrate, keys)]
        loss = ((metadata.config or {}).get("training") or {}).get("loss") or {}
        weights = loss.get("energy", WEIGHTS[0]), loss.get("forces", WEIGHTS[1])
        known, calibration = calibration_of(potential, graphs, held_out, weights)
        members = with_committee(potential, known, calibration, args.members or N_MEMBERS)
        potential, summary["predicted_errors"] = members.potential, members.summary()
    kept = {k: v for k, v in metadata.training.items() if k != "predicted_errors"}
    path = write_model(
        Path(args.output),
        potential,
        statistics=metadata.statistics,
        config=metadata.config,
        training={**kept, **summary},
    )
    counts = ", ".join(f"{n} {name}" for name, n in grade.atoms.items() if n)
    console.print(f"grades of {grade.frames} structures ({counts} atoms) are in {path}", markup=False)
    unknown = [name for name, n in grade.atoms.items() if not n]
    if unknown:
        console.print(f"no atoms of {', '.join(unknown)}: their grade is infinite", markup=False)
    if args.calibrate:
        console.print(
            f"{potential.spec.members} members predict errors, scaled by those of {calibration.frames} frames "
            f"(× {calibration.forces:.3g} for forces, × {calibration.energy:.3g} for energies)",
            markup=False,
        )
    return 0
