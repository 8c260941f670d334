"""`equipot lammps`: build the LAMMPS plugin if needed and print the lines of an input that uses it."""

import argparse
import sys
from pathlib import Path

from equipot.lammps import build_plugin, plugin_folder

EXAMPLES = """examples:
  equipot lammps --model runs/silicon/model.pt
  equipot lammps --include ~/lammps/src
  equipot lammps --cuda
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("--rebuild", action="store_true", help="compile again even if the plugin exists")
    parser.add_argument("--include", metavar="DIR", help="headers of your own LAMMPS (its src folder)")
    parser.add_argument(
        "--mpi-include", metavar="DIR", help="folder of the mpi.h that your LAMMPS was compiled with"
    )
    parser.add_argument(
        "--cuda", action="store_true", help="a plugin for GPUs, which links to torch; it takes some minutes"
    )
    parser.add_argument("--model", metavar="FILE", help="model file for the printed input")


def run(args: argparse.Namespace) -> int:
    time = "some minutes" if args.cuda else "about ten seconds"
    print(f"compiling the plugin if it does not exist yet ({time}) ...", file=sys.stderr)
    plugin = build_plugin(args.rebuild, args.include, args.mpi_include, args.cuda)
    print(f"the plugin is {plugin}", file=sys.stderr)
    print(input_snippet(args.model, plugin), end="")
    return 0


def input_snippet(model: str | None, plugin: Path) -> str:
    """Return the lines of a LAMMPS input that use the plugin, with the elements of the model file if one is given."""
    elements = "Si O"
    if model is not None:
        from equipot.model_file.read import read_metadata  # torch takes a second to import

        elements = " ".join(read_metadata(model).type_names)
    # The lmp of the wheel loads the plugins in the folder of the entry point by itself.
    load = "" if str(plugin.parent) == plugin_folder() else f"plugin load {_quoted(plugin)}\n"
    return (
        "# units real also works; the last words are the elements of atom types 1, 2, ...\n"
        "units metal\n"
        "newton on\n"
        f"{load}"
        "pair_style equipot\n"
        f"pair_coeff * * {_quoted(model or 'model.pt')} {elements}\n"
    )


def _quoted(path: str | Path) -> str:
    """Return a path as one word of a LAMMPS input."""
    return f'"{path}"' if any(c.isspace() or c in "#&$" for c in str(path)) else str(path)
