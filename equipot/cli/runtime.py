"""`equipot runtime`: what another program needs to compile against the C interface."""

import argparse
import shlex

DESCRIPTION = """Print where the header and the library of the C interface are.

The runtime computes energies and forces without torch and without Python. docs/runtime.md describes it.
"""

EXAMPLES = """examples:
  equipot runtime
  cc dimer.c $(equipot runtime --flags) -o dimer
  cmake -Dequipot_DIR=$(equipot runtime --cmake) ..    # for find_package(equipot) and equipot::equipot
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--flags", action="store_true", help="print them as options of a compiler")
    form.add_argument("--cmake", action="store_true", help="print the folder of the CMake package")


def run(args: argparse.Namespace) -> int:
    """Print header and library; raise EquipotError without compiled kernels."""
    from equipot.runtime.files import cmake_folder, header_folder, library_file

    header, library = header_folder(), library_file()
    if args.flags:
        print(shlex.join([f"-I{header}", str(library), f"-Wl,-rpath,{library.parent}"]))
    elif args.cmake:
        print(cmake_folder())
    else:
        print(f"header   {header / 'equipot.h'}")
        print(f"library  {library}")
    return 0
