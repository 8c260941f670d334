"""Files made by nequip, in a process of the Python that EQUIPOT_NEQUIP_PYTHON names."""

import json
import os
import subprocess
from pathlib import Path

import ase.io
import pytest

from .nequip_jobs import MODELS, TYPES, structures


@pytest.fixture(scope="session")
def nequip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the models' files and results; skips where there is no nequip."""
    nequip = os.environ.get("EQUIPOT_NEQUIP_PYTHON")
    if not nequip:
        pytest.skip("EQUIPOT_NEQUIP_PYTHON does not name a Python that has nequip")
    path = tmp_path_factory.mktemp("nequip")
    ase.io.write(path / "structures.traj", structures())
    request = {
        "folder": str(path),
        "structures": str(path / "structures.traj"),
        "types": TYPES,
        "r_max": 4.0,
        "models": MODELS,
    }
    (path / "request.json").write_text(json.dumps(request).replace("FOLDER/", f"{path}/"))
    script = Path(__file__).with_name("nequip_models.py")
    done = subprocess.run(
        [nequip, script, path / "request.json"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return path
