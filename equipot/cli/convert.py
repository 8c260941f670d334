"""`equipot convert`: convert a model of another package to a model file."""

import argparse

from rich.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Convert a model of SevenNet, NequIP or Nequix to a model file. It gives the same energies and forces in ASE\n"
        "and LAMMPS, many times faster. None of these packages is imported, and no code in a checkpoint is run.\n"
        "docs/convert.md says which results are exact."
    )
    parser.epilog = """examples:
  equipot convert sevenn:7net-0 -o 7net-0.pt                  needs an installed sevenn (`pip install sevenn`)
  equipot convert sevenn:7net-mf-0 --modality PBE -o 7net-mf-0.pt
  equipot convert checkpoint_sevennet_0.pth -o 7net-0.pt      any checkpoint of SevenNet
  equipot convert best.ckpt -o model.pt                       a checkpoint of NequIP, or a .nequip.zip
  equipot convert nequix-oam-1-pft.nqx -o nequix.pt           a file of Nequix
  equipot convert nequix-oam-1-pft -o nequix.pt               where Nequix's calculator has downloaded it
"""
    parser.add_argument(
        "source", help="sevenn:7net-0, sevenn:7net-l3i5, sevenn:7net-mf-0, nequix-oam-1-pft, or a file"
    )
    parser.add_argument("-o", "--output", required=True, metavar="model.pt", help="model file to write")
    parser.add_argument(
        "--modality", help="level of theory, for a model with several of them, e.g. PBE or R2SCAN"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-5,
        metavar="EV_PER_A",
        help="largest error of a force due to splines of the radial functions (default: 1e-5 eV/Å)",
    )
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="precision (default: float32)"
    )
    parser.add_argument(
        "--elements", metavar="Si,O", help="keep only these elements (default: all elements of the model)"
    )


def run(args: argparse.Namespace) -> int:
    from equipot.convert import convert
    from equipot.model_file import load_model

    console = Console(highlight=False)
    elements = [name.strip() for name in args.elements.split(",")] if args.elements else None
    with console.status(f"converting {args.source}"):
        converted = convert(args.source, args.output, args.modality, args.tolerance, args.dtype, elements)
        difference = load_model(converted.path).self_test_difference
    spec, splines = converted.potential.spec, converted.resolution
    order = {2: "cubic", 3: "quintic"}[splines.spline_order]
    console.print(
        f"{converted.path}: {spec.n_layers} layers of {spec.hidden_irreps}, cutoff {spec.cutoff:g} Å, "
        f"{len(spec.type_names)} elements, {spec.dtype}",
        markup=False,
    )
    console.print(
        f"{order} splines with {splines.n_knots} knots change forces by at most {splines.difference:.1e} eV/Å "
        f"(tolerance {args.tolerance:g}); self-test in a fresh process passed, difference {difference:.1e}"
    )
    return 0
