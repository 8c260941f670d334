"""i-PI itself runs a few steps with its driver for equipot; its output against the ASE calculator."""

import os
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch

from equipot.calculators import EquipotCalculator
from equipot.model_file import write_model
from equipot.network.variants import with_grade
from tests.models import make_potential, random_atoms

pytest.importorskip("ipi", reason="i-PI is not installed (ipi)")
BIN = Path(sys.executable).parent
N_STEPS = 4
INPUT = """
<simulation verbosity='low'>
  <output prefix='out'>
    <properties stride='1' filename='md'>
      [ step, potential{{electronvolt}}, conserved{{electronvolt}}, virial_md{{ase}} ]
    </properties>
    <trajectory stride='1' filename='pos' format='ase'> positions </trajectory>
    <trajectory stride='1' filename='for' format='xyz'> forces{{ev/ang}} </trajectory>
    <trajectory stride='1' filename='gamma' extra_type='gamma'> extras </trajectory>
  </output>
  <total_steps>{n_steps}</total_steps>
  <prng><seed>1</seed></prng>
  <ffsocket name='equipot' mode='unix'> <address>{address}</address> <timeout>20</timeout> </ffsocket>
  <system>
    <initialize nbeads='1'> <file mode='ase'> start.extxyz </file> </initialize>
    <forces> <force forcefield='equipot'/> </forces>
    <ensemble> <temperature units='kelvin'> 300 </temperature> </ensemble>
    <motion mode='dynamics'>
      <dynamics mode='nve'> <timestep units='femtosecond'> 0.5 </timestep> </dynamics>
    </motion>
  </system>
</simulation>
"""


@pytest.fixture(scope="module", params=[True, False], ids=["crystal", "molecule"])
def run(request, tmp_path_factory):
    """The folder of a run of i-PI, with the driver in a process of its own."""
    folder = tmp_path_factory.mktemp("ipi")
    potential = make_potential(seed=3)
    d = potential.read.width
    graded = with_grade(potential, torch.zeros(2, d), torch.eye(d).reshape(1, -1).repeat(2, 1), torch.ones(2))
    write_model(folder / "model.pt", graded, verify=False)
    ase.io.write(folder / "start.extxyz", random_atoms(6, seed=1, pbc=request.param))
    address = f"equipot-test-{os.getpid()}-{request.param}"
    (folder / "input.xml").write_text(INPUT.format(n_steps=N_STEPS, address=address))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    at = {"cwd": folder, "env": environment, "text": True}
    server = subprocess.Popen(
        [BIN / "i-pi", "input.xml"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **at
    )
    try:
        path = subprocess.run(
            [sys.executable, "-m", "equipot.ipi_driver"], capture_output=True, check=True, **at
        ).stdout.strip()
        options = [
            "-u",
            "-a",
            address,
            "-m",
            "custom",
            "-P",
            path,
            "-o",
            "template=start.extxyz,model=model.pt",
        ]
        while not Path(f"/tmp/ipi_{address}").exists():
            assert server.poll() is None, server.stdout.read()
            time.sleep(0.1)
        driver = subprocess.run(
            [BIN / "i-pi-py_driver", *options], capture_output=True, timeout=120, check=False, **at
        )
        output, _ = server.communicate(timeout=60)
    finally:
        server.kill()
    assert server.returncode == 0, output + driver.stdout + driver.stderr
    return folder


def test_i_pi_has_the_energies_forces_stresses_and_grades_of_the_calculator(run):
    start = ase.io.read(run / "start.extxyz")
    table, grades = np.loadtxt(run / "out.md"), np.loadtxt(run / "out.gamma_0")
    positions = ase.io.read(run / "out.pos_0.extxyz", ":")
    forces = [f.positions for f in ase.io.read(run / "out.for_0.xyz", ":", format="xyz")]
    calculator = EquipotCalculator(run / "model.pt")
    calculator.warns = False
    assert len(positions) == len(table) == len(grades) == N_STEPS + 1
    for atoms, row, force, gamma in zip(positions, table, forces, grades, strict=True):
        atoms.pbc = start.pbc
        atoms.calc = calculator
        # i-PI writes nine digits of each number.
        assert row[1] == pytest.approx(atoms.get_potential_energy(), abs=2e-7)
        np.testing.assert_allclose(force, atoms.get_forces(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gamma, calculator.outputs["gamma"], rtol=1e-5)
        stress = atoms.get_stress() if start.pbc.all() else np.zeros(6)
        virial = row[3:][[0, 1, 2, 5, 4, 3]]  # per volume; i-PI's order is xx yy zz xy xz yz
        np.testing.assert_allclose(virial, -stress, rtol=0, atol=5e-8)
    assert np.abs(positions[-1].positions - positions[0].positions).max() > 1e-4
    assert np.ptp(table[:, 2]) < 1e-5  # conserved
