"""A folder that holds every file that the pages name: silicon, and a small model that was trained on it."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from ase.build import bulk
from ase.io import read, write

from equipot.cli.main import main
from tests.docs.blocks import ROOT

SILICON = ROOT / "examples" / "silicon" / "silicon.extxyz"
CONVERTED = ROOT / "tests" / "convert" / "data"
# Enough for a crystal that relaxes and has real phonons; oxygen is an element without data, for inputs with two types.
CONFIG = """
data: {train: train.extxyz, validation: validation.extxyz, test: test.extxyz, species: [Si, O]}
model: {preset: tiny, cutoff: 4.5}
training: {max_epochs: 10, seed: 1, warmup_steps: 10, ema_decay: 0, loss: {curvature: 0}}
output: runs/silicon
"""


@pytest.fixture(scope="session")
def check_pages() -> ModuleType:
    """The module docs/site/check_pages.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("check_pages", ROOT / "docs" / "site" / "check_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder. Tests copy it."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _write_structures()
        Path("config.yaml").write_text(CONFIG)
        assert main(["train", "config.yaml"]) == 0
        Path("finetune.yaml").write_text(
            "init: model.pt\ndata: {train: train.extxyz}\noutput: runs/finetuned\n"
        )
        model = "runs/silicon/model.pt"
        for copy in ("model.pt", "converted.pt", "7net-0.pt"):
            shutil.copy(model, copy)
        shutil.copytree("runs/silicon/checkpoints", "checkpoints")
        shutil.copy(CONVERTED / "nequip" / "hidden readout.ckpt", "best.ckpt")
        shutil.copy(CONVERTED / "nequip" / "preset S, narrower.nequip.zip", "model.nequip.zip")
        for name in ("nequix-mp-1.nqx", "nequix-oam-1-pft.nqx"):
            shutil.copy(CONVERTED / "nequix" / "norm, one skip for all.nqx", name)
        md = ["md", "liquid.extxyz", "-m", "model.pt", "-o", "liquid-md.extxyz", "--time", "0.01"]
        assert main([*md, "--ensemble", "nvt", "--temperature", "300"]) == 0
    return folder


def _write_structures() -> None:
    frames = read(SILICON, ":")
    crystals = [f for f in frames if f.info["config_type"] in ("volume", "strained", "md300K")]
    liquid = [f for f in frames if f.info["config_type"] == "md3000K"]
    write("train.extxyz", crystals[::2])
    write("validation.extxyz", crystals[1::8])
    for name in ("test.extxyz", "data.extxyz"):
        write(name, crystals[3::8])
    for name in ("pool.extxyz", "md-unlike.extxyz", "candidates.extxyz"):
        write(name, liquid)
    crystal = bulk("Si", cubic=True)
    for name in ("structure.cif", "crystal.cif", "mgo.cif", "relaxed.extxyz"):
        write(name, crystal)
    crystal.rattle(0.02, seed=0)
    for name in ("liquid.extxyz", "adsorbate.extxyz"):
        write(name, crystal)
    layer = bulk("Si", cubic=True)
    layer.center(vacuum=8.0, axis=2)
    layer.pbc = (True, True, False)
    write("graphene.extxyz", layer)
    write("silicon.data", crystal.repeat(2), format="lammps-data", specorder=["Si"], masses=True)
    Path("examples").symlink_to(ROOT / "examples")


@pytest.fixture
def folder(everything: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of the folder, which is the current one."""
    copy = tmp_path / "work"
    shutil.copytree(everything, copy, symlinks=True)
    monkeypatch.chdir(copy)
    return copy
