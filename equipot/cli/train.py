"""`equipot train`: train a potential on labelled structures."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from equipot.config import DataConfig

DESCRIPTION = """Train a potential. A small config:

  data:
    train: train.extxyz
    test: test.extxyz
  model:
    cutoff: 5.0
  training:
    max_time: "00:30:00"
  output: runs/silicon

The training chooses the network and all else from the data and the time, prints what it chose and why, and writes it
to settings.yaml in the output folder. `equipot train --keys` explains every key. A key after the config file replaces
the file's value:

  equipot train config.yaml training.max_time=02:00:00 model.preset=fast
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("config", nargs="?", help="YAML config")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="values that replace those of the config file"
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue from the last checkpoint in the output folder"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an earlier training in the output folder"
    )
    parser.add_argument(
        "--profile", action="store_true", help="print at the end how the time of an epoch was spent"
    )
    parser.add_argument(
        "--keys",
        action="store_true",
        help="print all config keys with their defaults and a description, and exit",
    )


def run(args: argparse.Namespace) -> int:
    from equipot.config_file import load_config, manual
    from equipot.errors import ConfigError

    if args.keys:
        Console(highlight=False).print(manual())
        return 0
    if args.config is None:
        raise ConfigError("no config file was given; expected e.g. `equipot train config.yaml` (see --help)")
    config = load_config(args.config, args.overrides)
    _check_files(config.data, args.config, args.overrides)
    from equipot.training.run import train

    train(config, resume=args.resume, overwrite=args.overwrite, profile=args.profile)
    return 0


def _check_files(data: "DataConfig", config_file: str, overrides: Sequence[str]) -> None:
    """Raise DataError with the key of the config if a file of the sets does not exist."""
    from equipot.errors import DataError
    from equipot.structures.reading import expand

    on_command_line = {override.partition("=")[0] for override in overrides}
    for name in ("train", "validation", "test"):
        key = f"data.{name}"
        if key in on_command_line:
            source, folder = "", "the current folder"
        else:
            source, folder = f"{config_file}: ", "the folder of the config"
        try:
            expand(getattr(data, name) or [], folder)
        except DataError as error:
            raise DataError(f"{source}{key}: {error}") from None
