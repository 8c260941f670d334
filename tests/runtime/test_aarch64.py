"""Kernels and runtime on aarch64: cross-compiled, and run under emulation.

apt-get install g++-aarch64-linux-gnu qemu-user-static
python -m pytest tests/runtime/test_aarch64.py
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from equipot.calculators import EquipotCalculator
from equipot.lammps import engine_sources, runtime_sources
from equipot.model_file import write_model
from tests.lammps.ranks import exhaustive
from tests.models import make_potential
from tests.runtime.test_c_interface import EXAMPLE
from tests.runtime.test_runtime import MODELS, TOLERANCE

pytestmark = exhaustive
COMPILER, EMULATOR, LIBRARIES = "aarch64-linux-gnu-g++", "qemu-aarch64-static", "/usr/aarch64-linux-gnu"


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """The example of the C interface for aarch64, linked to the library."""
    for tool in (COMPILER, EMULATOR, "cmake"):
        if shutil.which(tool) is None:
            pytest.skip(f"this machine has no {tool}")
    folder = tmp_path_factory.mktemp("aarch64")
    system = [
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        f"-DCMAKE_CXX_COMPILER={COMPILER}",
    ]
    subprocess.run(
        ["cmake", "-S", engine_sources(), "-B", folder, *system], check=True, stdout=subprocess.DEVNULL
    )
    build = ["cmake", "--build", folder, "--target", "equipot_engine_shared", "-j2"]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    link = [f"-I{runtime_sources()}", folder / "_engine.so", f"-Wl,-rpath,{folder}", "-o", folder / "dimer"]
    subprocess.run([COMPILER.replace("g++", "gcc"), EXAMPLE, *link], check=True)
    return folder / "dimer"


@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("kind", ["natural", "full", "l4", "foreign", "ours"])
def test_models_have_the_numbers_that_they_have_here(program, tmp_path, kind, dtype):
    potential = make_potential(seed=2, **{**MODELS[kind], "dtype": dtype})
    model = write_model(tmp_path / "model.pt", potential, verify=False)
    # Opening a model runs its self-test: three structures of eight atoms.
    command = [EMULATOR, "-L", LIBRARIES, program, model, "Si", "O"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    calculator = EquipotCalculator(model)
    for distance, energy, force in np.loadtxt(run.stdout.splitlines())[::3]:
        atoms = Atoms("SiO", [[0, 0, 0], [distance, 0, 0]], calculator=calculator)
        tolerance = max(1e-6, TOLERANCE[dtype] * abs(energy))  # the example prints six digits
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=tolerance)
        assert force == pytest.approx(atoms.get_forces()[0, 0], abs=10 * tolerance)
