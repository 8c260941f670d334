"""What the runtime computes starts without torch, whose import takes seconds."""

import subprocess
import sys

import ase.io
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from equipot import native
from equipot.model_file import write_model
from tests.models import make_potential, random_atoms

CHECK = "\nassert 'torch' not in sys.modules, 'torch was imported'"
CALCULATOR = """
import sys, ase.io
from equipot.calculators import EquipotCalculator
atoms = ase.io.read("atoms.extxyz")
atoms.calc = EquipotCalculator("model.pt")
atoms.get_forces(), atoms.get_stress(), atoms.get_stresses(), atoms.get_potential_energies()
"""
COMMAND = "import sys\nfrom equipot.cli.main import main\nassert main({}) in (0, 1)"
COMMANDS = {
    "info": ["info", "model.pt"],
    "check": ["check", "atoms.extxyz"],
    "relax": ["relax", "atoms.extxyz", "-m", "model.pt", "-o", "relaxed.extxyz", "--steps", "2"],
    "md": "md atoms.extxyz -m model.pt -o md.extxyz --ensemble nve --time 0.002 --temperature 300".split(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("without_torch")
    write_model(place / "model.pt", make_potential(seed=3), verify=False)
    atoms = random_atoms(6)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=0 * atoms.positions)
    ase.io.write(place / "atoms.extxyz", atoms)
    return place


@pytest.mark.skipif(not native.available(), reason="the compiled library is off or not installed")
@pytest.mark.parametrize(
    "code", [CALCULATOR, *(COMMAND.format(c) for c in COMMANDS.values())], ids=["calculator", *COMMANDS]
)
def test_torch_is_not_imported(folder, code):
    run = subprocess.run([sys.executable, "-c", code + CHECK], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr + run.stdout
