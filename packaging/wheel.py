"""Build a wheel with the LAMMPS plugin for the LAMMPS of this environment: `make dist`.

The plugin serves exactly this version of LAMMPS; for another one, `equipot lammps` compiles it. The OpenMP library is
left out of the wheel, because it comes with torch.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from equipot.lammps import PLUGIN_NAME, plugin_settings

ROOT = Path(__file__).resolve().parents[1]
RAW, DONE = ROOT / "build/raw", ROOT / "dist"


def main() -> int:
    shutil.rmtree(RAW, ignore_errors=True)
    defines = {"EQUIPOT_WITH_PLUGIN": "ON", **plugin_settings()}
    options = [f"--config-settings=cmake.define.{key}={value}" for key, value in defines.items()]
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", *sys.argv[1:]]
    subprocess.run([*pip, "--no-deps", "-w", RAW, ROOT, *options], check=True)
    (wheel,) = RAW.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        if not any(name.endswith(f"/{PLUGIN_NAME}") for name in archive.namelist()):
            print(
                f"{wheel.name} has no plugin: the compilation failed, see `pip wheel -v .`", file=sys.stderr
            )
            return 1
    repair = [sys.executable, "-m", "auditwheel", "repair", "--exclude", "libgomp.so.1", "-w", DONE, wheel]
    return subprocess.run(repair).returncode


if __name__ == "__main__":
    sys.exit(main())
