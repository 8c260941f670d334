"""`equipot export`: write a model file from a training checkpoint."""

import argparse

from rich.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write a model file from a training checkpoint, load it in a fresh process and compare the results.\n"
        "A training exports its best model at its end. This command is for checkpoints of unfinished trainings."
    )
    parser.add_argument("checkpoint", help="e.g. runs/silicon/checkpoints/best.ckpt")
    parser.add_argument("-o", "--output", required=True, metavar="model.pt", help="model file to write")
    parser.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        help="precision of the network (default: that of the training)",
    )


def run(args: argparse.Namespace) -> int:
    from equipot.model_file import load_model
    from equipot.training.finish import export_checkpoint

    export_checkpoint(args.checkpoint, args.output, dtype=args.dtype)
    difference = load_model(args.output).self_test_difference
    Console(highlight=False).print(
        f"{args.output}: written, and loaded in a fresh process; largest relative difference from the trained "
        f"network {difference:.1e}"
    )
    return 0
