"""Options for the names of the labels in a file of structures."""

import argparse

from equipot.quantities import LABELS


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each label, for the virial and for the group. `LabelKeys.from_values` reads their values."""
    for quantity in LABELS:
        parser.add_argument("--" + quantity.key.replace("_", "-"), metavar="KEY", help=quantity.help)
    parser.add_argument(
        "--virial-key", metavar="KEY", help="name of the virial (eV), used for frames without a stress"
    )
    parser.add_argument(
        "--config-type-key",
        default="config_type",
        metavar="KEY",
        help="name of the group label (default: %(default)s)",
    )
