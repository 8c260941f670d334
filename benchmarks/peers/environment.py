"""Packages that equipot is compared with, and the interpreters of their environments."""

import argparse
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import BenchmarkError


@dataclass(frozen=True)
class Peer:
    """A package, as it is imported and as pip installs it."""

    package: str
    requirement: str

    @property
    def variable(self) -> str:
        """Environment variable that names the interpreter where the option does not."""
        return f"EQUIPOT_{self.package.upper()}_PYTHON"

    @property
    def option(self) -> str:
        return f"--{self.package}-python"

    @property
    def installation(self) -> str:
        return f"python -m venv ENV && ENV/bin/pip install torch==2.13.0 {self.requirement}"

    @property
    def remedy(self) -> str:
        return f"{self.installation}, then {self.option} ENV/bin/python or {self.variable}"

    def add_option(self, parser: argparse.ArgumentParser, otherwise: str = "required") -> None:
        """Add the option that names the interpreter; its help says what happens `otherwise`."""
        parser.add_argument(
            self.option,
            type=Path,
            default=Path(os.environ[self.variable]) if os.environ.get(self.variable) else None,
            metavar="PYTHON",
            help=f"interpreter of {self.package}'s environment, which is made by: {self.installation} "
            f"(default ${self.variable}, else {otherwise})",
        )

    def check(self, python: Path | None) -> Path:
        """Return the interpreter; raise BenchmarkError if none is given, or one that lacks the package."""
        if python is None:
            raise BenchmarkError(f"no interpreter of {self.package}'s environment is given: {self.remedy}")
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({self.package!r}) is None)"
        try:
            missing = subprocess.run([python, "-c", code], capture_output=True, timeout=120).returncode != 0
        except (OSError, subprocess.TimeoutExpired):
            raise BenchmarkError(f"{python} cannot be run as a Python interpreter: {self.remedy}") from None
        if missing:
            raise BenchmarkError(f"{python} has no {self.package}: {self.remedy}")
        return python


NEQUIP = Peer("nequip", "nequip==0.19.1")
SEVENN = Peer("sevenn", "sevenn==0.13.0")
NEQUIX = Peer("nequix", "nequix==0.4.5")
SYMMETRIX = Peer("symmetrix", "symmetrix-xl==0.1.1 mace-torch==0.3.16")
