"""The command line of an example."""

import argparse
from pathlib import Path


def options(description: str | None, output: str) -> argparse.ArgumentParser:
    """Return a parser with --output; the description is the docstring of the example."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--output", type=Path, default=Path(output), metavar="FOLDER", help="default: %(default)s"
    )
    return parser
