"""The entry point of the command `equipot`. Each subcommand is a module of this package."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from equipot import __version__
from equipot.errors import EquipotError

# A module is imported only when its command runs: `equipot --help` must not wait for torch.
COMMANDS = {
    "check": "check labelled structures before a training: keys, units, signs, duplicates",
    "train": "train a potential on labelled structures",
    "evaluate": "predict structures; for labelled ones, compute the errors, with tables and parity plots",
    "convert": "convert a model of SevenNet or NequIP to a model file",
    "export": "write a model file from a training checkpoint",
    "uncertainty": "add extrapolation grades to a model file",
    "select": "choose the structures that are worth labelling next",
    "info": "print the contents of a model file",
    "relax": "relax the atoms and optionally the cell of structures",
    "phonons": "compute phonons of a crystal: bands, density of states, thermal properties",
    "md": "run molecular dynamics at constant energy, temperature or pressure",
    "report": "write an HTML page with the physics and the errors of a model",
    "benchmark": "measure the speed of a model on this machine, part by part",
    "lammps": "build the LAMMPS plugin and print an input that uses it",
    "runtime": "print where the C interface for other programs is",
}

EXAMPLES = """examples:
  equipot check train.extxyz
  equipot train config.yaml training.max_time=00:10:00
  equipot evaluate runs/silicon/model.pt test.extxyz -o evaluation
  equipot info runs/silicon/model.pt
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 for success, 1 for bad input, 2 for bad usage, 130 for Ctrl-C."""
    arguments = [_with_home(a) for a in (sys.argv[1:] if argv is None else argv)]
    command = next((a for a in arguments if not a.startswith("-")), None)
    top, _ = parsers(command)
    try:
        args, unknown = top.parse_known_args(arguments)
        # argparse takes no positional arguments after an option: `equipot train c.yaml --resume training.seed=2`.
        overrides_only = all("=" in text and not text.startswith("-") for text in unknown)
        if unknown and not (hasattr(args, "overrides") and overrides_only):
            top.error(f"unrecognized arguments: {' '.join(unknown)}")
        if unknown:
            args.overrides = [*args.overrides, *unknown]
        return int(args.run(args) or 0)
    except EquipotError as error:
        print(f"equipot {command}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"equipot {command}: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        details = f"; {interrupt}" if str(interrupt) else ""
        print(f"equipot {command}: interrupted{details}", file=sys.stderr)
        return 130


def parsers(command: str | None) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser of `equipot` and those of its commands; only that of `command` has its arguments."""
    top = argparse.ArgumentParser(
        prog="equipot",
        description="Equivariant interatomic potentials: from labelled structures to molecular dynamics.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"equipot {__version__}")
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    of_commands = {}
    for name, summary in COMMANDS.items():
        of_commands[name] = subparsers.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == command:
            module = importlib.import_module(f"equipot.cli.{name}")
            module.add_arguments(of_commands[name])
            of_commands[name].set_defaults(run=module.run)
    return top, of_commands


def _with_home(argument: str) -> str:
    """Return the argument with ~ expanded also behind an equals sign (`--output=~/runs`), where the shell keeps it."""
    option, equals, path = argument.rpartition("=")
    # A single ~ is null in YAML: `training.max_epochs=~`.
    return f"{option}{equals}{os.path.expanduser(path)}" if path.startswith("~/") else argument


if __name__ == "__main__":
    sys.exit(main())
