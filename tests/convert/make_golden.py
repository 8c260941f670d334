"""Writes tests/convert/data: tiny models made with SevenNet, NequIP and Nequix, and their results in float64.

    EQUIPOT_SEVENN_PYTHON=… EQUIPOT_NEQUIP_PYTHON=… python -m tests.convert.make_golden
    EQUIPOT_NEQUIX_PYTHON=… python -m tests.convert.make_golden nequix

Run it with a peer's new release beside the old files, not in place of them: users convert files of every age.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import ase.io

from tests.convert import nequip_jobs, test_nequix, test_sevennet

DATA = Path(__file__).with_name("data")
SEVENNET = [
    "parity, l up to 2, three layers",
    "even, l up to 2",
    "linear self-connections, parity",
    "readout by silu",
    "modalities, everywhere, with biases",
    "as MF ompa",
    "as OMat",
]
# Packages hold nequip's code and so are large: one is enough.
NEQUIP = {
    "preset S, narrower": "nequip.zip",
    "everything": "ckpt",
    "hidden readout": "ckpt",
    "no self-connections": "ckpt",
    "short-range of NequIP-LES": "ckpt",
}


def main() -> None:
    DATA.mkdir(exist_ok=True)
    families = {"sevennet": sevennet, "nequip": nequip, "nequix": nequix}
    for name in sys.argv[1:] or families:
        with tempfile.TemporaryDirectory() as scratch:
            families[name](Path(scratch))


def sevennet(folder: Path) -> None:
    structures = folder / "structures.traj"
    ase.io.write(structures, test_sevennet._structures())
    models = {name: options for name, options in test_sevennet.MODELS.items() if name in SEVENNET}
    request = {"types": test_sevennet.TYPES, "models": models, "shipped": {}}
    run("EQUIPOT_SEVENN_PYTHON", "sevennet_models.py", folder, request)
    keep(folder, "sevennet", ["*.pth", "*.npz"])


def nequip(folder: Path) -> None:
    structures = folder / "structures.traj"
    ase.io.write(structures, nequip_jobs.structures())
    models = {name: options for name, options in nequip_jobs.MODELS.items() if name in NEQUIP}
    request = {"types": nequip_jobs.TYPES, "r_max": 4.0, "models": models}
    run("EQUIPOT_NEQUIP_PYTHON", "nequip_models.py", folder, request)
    keep(folder, "nequip", ["*.npz", *(f"{name}.{ending}" for name, ending in NEQUIP.items())])


def nequix(folder: Path) -> None:
    structures = folder / "structures.traj"
    ase.io.write(structures, test_nequix.structures())
    models = {name: options for name, options in test_nequix.MODELS.items() if name in test_nequix.KEPT}
    request = {"numbers": test_nequix.NUMBERS, "models": models}
    run("EQUIPOT_NEQUIX_PYTHON", "nequix_models.py", folder, request)
    keep(folder, "nequix", ["*.nqx", "*.npz"])


def run(variable: str, script: str, folder: Path, request: dict) -> None:
    request = {"folder": str(folder), "structures": str(folder / "structures.traj"), **request}
    (folder / "request.json").write_text(json.dumps(request))
    root = Path(__file__).parents[2]
    command = [os.environ[variable], root / "tests" / "convert" / script, folder / "request.json"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(root)})


def keep(folder: Path, peer: str, patterns: list[str]) -> None:
    target = DATA / peer
    target.mkdir(exist_ok=True)
    for pattern in patterns:
        for file in folder.glob(pattern):
            shutil.copy(file, target / file.name)


if __name__ == "__main__":
    main()
