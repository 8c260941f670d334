"""`equipot runtime`: what another program needs to compile against the C interface."""

import argparse
import shlex

DESCRIPTION = """Print where the header and the library of the C interface are.

The runtime computes energies and forces without torch and without Python. docs/runtime.md describes it.
"""

EXAMPLES = """examples:
  equipot runtime
  cc dimer.c $(equipot runtime --flags) -o dimer
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.add_argument("--flags", action="store_true", help="print them as options of a compiler")


def run(args: argparse.Namespace) -> int:
    """Print header and library; raise EquipotError without compiled kernels."""
    from equipot.runtime.files import header_folder, library_file

    header, library = header_folder(), library_file()
    if args.flags:
        print(shlex.join([f"-I{header}", str(library), f"-Wl,-rpath,{library.parent}"]))
    else:
        print(f"header   {header / 'equipot.h'}")
        print(f"library  {library}")
    return 0
