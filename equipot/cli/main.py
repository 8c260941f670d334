"""``equipot``: one command, one thin module per subcommand."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from equipot import __version__
from equipot.errors import EquipotError

# Modules are imported only when their command runs: `equipot --help` must not wait for torch.
COMMANDS = {
    "check": "check labelled structures before a training: keys, units, signs, duplicates",
    "train": "fit a potential to labelled structures",
    "evaluate": "errors of a model on labelled structures, with tables and parity plots",
    "convert": "turn a model of SevenNet or NequIP into a model file",
    "export": "turn a training checkpoint into a model file",
    "info": "print what a model file holds",
    "relax": "relax structures with a model, atoms and cell",
    "phonons": "phonons of a crystal: bands, density of states, thermal properties",
    "md": "molecular dynamics at constant energy, temperature or pressure",
    "report": "the physics of a model on one HTML page, and its errors",
    "benchmark": "time the steps of a model on this machine, part by part",
    "lammps": "build the LAMMPS plugin and print how to use it",
}

EXAMPLES = """examples:
  equipot check train.extxyz
  equipot train config.yaml training.max_time=00:10:00
  equipot evaluate runs/silicon/model.pt test.extxyz -o evaluation
  equipot info runs/silicon/model.pt
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0 success, 1 bad input, 2 bad usage, 130 interrupted."""
    arguments = [_with_home(a) for a in (sys.argv[1:] if argv is None else argv)]
    top = argparse.ArgumentParser(
        prog="equipot",
        description="Equivariant interatomic potentials: from labelled structures to molecular dynamics.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"equipot {__version__}")
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    for name, summary in COMMANDS.items():
        sub = subparsers.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == wanted:
            module = importlib.import_module(f"equipot.cli.{name}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    try:
        args, rest = top.parse_known_args(arguments)
        # argparse takes no positionals behind an option: `equipot train c.yaml --resume training.seed=2`.
        if rest and (not hasattr(args, "overrides") or any(r.startswith("-") or "=" not in r for r in rest)):
            top.error(f"unrecognized arguments: {' '.join(rest)}")
        if rest:
            args.overrides = [*args.overrides, *rest]
        return int(args.run(args) or 0)
    except EquipotError as error:
        print(f"equipot {wanted}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"equipot {wanted}: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        kept = f"; {interrupt}" if str(interrupt) else ""
        print(f"equipot {wanted}: interrupted{kept}", file=sys.stderr)
        return 130


def _with_home(argument: str) -> str:
    """Expand ~ where the shell does not: in `--output=~/runs` and `output=~/runs`."""
    option, equals, path = argument.rpartition("=")
    # A single ~ is YAML's null: `training.max_epochs=~`.
    return f"{option}{equals}{os.path.expanduser(path)}" if path.startswith("~/") else argument


if __name__ == "__main__":
    sys.exit(main())
