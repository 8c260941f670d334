"""`equipot info`: print the contents of a model file."""

import argparse
import sys
from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from equipot.errors import ModelFileError
from equipot.model_file.metadata import ModelMetadata

if TYPE_CHECKING:
    from equipot.model_file.structure import Sizes
    from equipot.network.spec import PotentialSpec

UNITS = {  # of numbers in the statistics of a training set
    "rms_force": "eV/Å",
    "rms_stress": "eV/Å³",
    "energy_std": "eV/atom",
    "minimum_distance": "Å",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="model file")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the raw metadata with the self-test, without running the model",
    )


def run(args: argparse.Namespace) -> int:
    """Print the metadata. Without --json, also load the network and run its self-test."""
    from equipot.model_file import load_model, read_metadata

    if args.json:
        sys.stdout.write(read_metadata(args.model).to_json() + "\n")
        return 0
    console = Console()
    loaded = load_model(args.model)
    metadata = loaded.metadata
    try:
        console.print(_origin(str(loaded.path), metadata, loaded.self_test_difference))
        console.print(_network(metadata.spec, loaded.sizes))
        console.print(_elements(metadata))
        for part in _training(metadata):
            console.print(part)
    except (KeyError, TypeError) as error:
        raise ModelFileError(
            f"{args.model}: its metadata lacks {error}; `--json` prints the raw metadata"
        ) from None
    return 0


def _origin(path: str, metadata: Any, difference: float) -> Table:
    table = _pairs("Model file")
    table.add_row("file", escape(path))
    table.add_row("format", f"{metadata.format}, version {metadata.format_version}")
    table.add_row(
        "written", f"{metadata.created} by equipot {metadata.equipot_version}, torch {metadata.torch_version}"
    )
    table.add_row("units", ", ".join(f"{name} {unit}" for name, unit in metadata.units.items()))
    table.add_row(
        "self-test",
        f"passed: {len(metadata.self_test)} structures, largest relative difference {difference:.1e}",
    )
    return table


def _network(spec: dict[str, Any], sizes: "Sizes") -> Table:
    from equipot.network.spec import PotentialSpec

    complete_spec = PotentialSpec.from_dict(spec)
    table = _pairs("Network")
    table.add_row("elements", ", ".join(spec["type_names"]))
    table.add_row("precision", f"{spec['dtype']} (geometry, E0 and sums float64)")
    table.add_row("cutoff", f"{spec['cutoff']:g} Å")
    shorter = complete_spec.cutoffs.shorter()
    if shorter:
        table.add_row("pair cutoffs", ", ".join(f"{pair} {value:g} Å" for pair, value in shorter.items()))
    table.add_row("layers", str(spec["n_layers"]))
    table.add_row("hidden irreps", spec["hidden_irreps"])
    table.add_row("self-connections", ", ".join(complete_spec.self_connections_of_layers))
    if spec.get("biases"):
        table.add_row("biases", "for even scalars, in every linear map")
    table.add_row("l_max", f"{spec['l_max']}{', all even parity' if spec['even'] else ''}")
    table.add_row("type embedding", str(spec["type_embedding"]))
    order = {2: "cubic", 3: "quintic"}[spec["spline_order"]]
    table.add_row(
        "radial network",
        f"{spec['n_bessel']} Bessel functions, {_envelope(spec)}, hidden layers of "
        f"{_widths(complete_spec.radial_widths)}; {order} splines with {spec['n_knots']} knots",
    )
    hidden = spec["readout_hidden"]
    table.add_row("readout", "linear" if hidden is None else f"hidden layers of {_widths(hidden)}")
    table.add_row("repulsion", _repulsion(complete_spec))
    table.add_row(
        "weights",
        f"{sizes.parameters:,}, and {sizes.table_numbers:,} numbers in radial tables, which have replaced the radial "
        "networks of the training and their weights",
    )
    return table


def _repulsion(spec: "PotentialSpec") -> str:
    if spec.core_radii is None:
        return "ZBL" if spec.zbl else "none"
    pairs = combinations_with_replacement(range(len(spec.type_names)), 2)
    radii = [f"{spec.type_names[i]}-{spec.type_names[j]} {spec.core_radii[i][j]:.2f}" for i, j in pairs]
    return f"below the core radii (Å): {', '.join(radii[:6])}{', …' if len(radii) > 6 else ''}"


def _widths(hidden: int | Sequence[int]) -> str:
    return ", ".join(map(str, hidden)) if isinstance(hidden, Sequence) else str(hidden)


def _envelope(spec: dict[str, Any]) -> str:
    if spec["envelope"] == "polynomial":
        return f"polynomial envelope p = {spec['envelope_p']}"
    return f"xplor envelope from {spec['xplor_onset']:g} of the cutoff"


def _elements(metadata: ModelMetadata) -> Table:
    spec, statistics = metadata.spec, metadata.statistics or {}
    table = Table(title="Elements", title_justify="left")
    for column in ("element", "E0 (eV)", "scale (eV)", "neighbours", "training atoms"):
        table.add_column(column, justify="left" if column == "element" else "right")
    table.add_column("source of E0")
    counts, sources = (
        statistics.get("atoms_of", {}),
        metadata.training.get("e0_source") or statistics.get("e0_source", {}),
    )
    for k, name in enumerate(spec["type_names"]):
        table.add_row(
            name,
            f"{spec['e0'][k]:.6f}",
            f"{spec['scales'][k]:.4g}",
            f"{spec['neighbours'][k]:.1f}",
            str(counts.get(name, "–")),
            escape(str(sources.get(name, "–"))),
        )
    return table


def _training(metadata: Any) -> list[RenderableType]:
    """Return the tables of the training set and the training, for the data that the file holds."""
    parts: list[RenderableType] = []
    statistics = metadata.statistics
    if statistics:
        table = _pairs("Training set")
        for name, value in statistics.items():
            if not isinstance(value, dict | list):
                unit = f" ({UNITS[name]})" if name in UNITS else ""
                table.add_row(name.replace("_", " ") + unit, _plain(value))
        parts.append(table)
    converted = (metadata.training or {}).get("converted")
    if converted:
        table = _pairs("Converted from another package (eV/Å)")
        for name, value in converted.items():
            table.add_row(escape(name.replace("_", " ")), escape(_plain(value)))
        parts.append(table)
    if set(metadata.training) - {"converted"}:
        table = _pairs("Training (errors in eV, Å)")
        for name, value in metadata.training.items():
            if name == "converted":
                continue
            table.add_row(escape(name.replace("_", " ")), escape(_plain(value)))
        parts.append(table)
    if not parts:
        parts.append("The file holds no data about a training.")
    return parts


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if value is None:
        return "none"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _pairs(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table
