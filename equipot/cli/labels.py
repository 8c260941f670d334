"""Options that say under which names a file holds its labels."""

import argparse

from equipot.quantities import LABELS


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Add one option for each label, for a virial and for the group; read them with `LabelKeys.from_values`."""
    for quantity in LABELS:
        parser.add_argument("--" + quantity.key.replace("_", "-"), metavar="KEY", help=quantity.help)
    parser.add_argument(
        "--virial-key", metavar="KEY", help="name of a virial (eV), used where there is no stress"
    )
    parser.add_argument(
        "--config-type-key",
        default="config_type",
        metavar="KEY",
        help="name of the group (default: %(default)s)",
    )
