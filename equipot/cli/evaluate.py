"""`equipot evaluate`: the predictions of a model, and its errors on labelled structures."""

import argparse

from rich.console import Console

from equipot.cli.labels import add_label_options
from equipot.errors import ConfigError
from equipot.structures.labels import LabelKeys
from equipot.structures.reading import read_frames


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="model file")
    parser.add_argument("files", nargs="+", metavar="DATA", help="file or glob, in any format of ASE")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="DIR",
        help="folder for evaluation.json, predictions.extxyz and, with labels, parity.png",
    )
    add_label_options(parser)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument(
        "--batch-edges",
        type=int,
        default=20_000,
        metavar="N",
        help="largest number of edges in a batch; lower it if memory runs out (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate the model, write the output folder and print the tables."""
    from equipot.evaluation.evaluation import evaluate_and_write
    from equipot.model_file import load_model

    if args.batch_edges < 1:
        raise ConfigError(f"--batch-edges is {args.batch_edges}; expected a positive number")
    keys = LabelKeys.from_values(vars(args))
    frames = read_frames(args.files, keys)
    model = load_model(args.model, args.device)
    console = Console()
    evaluation = evaluate_and_write(
        model, frames, args.output, files=args.files, batch_edges=args.batch_edges, console=console
    )
    plot = ", parity.png" if evaluation.labelled else ""
    console.print(f"written to {args.output}: evaluation.json, predictions.extxyz{plot}", markup=False)
    return 0
