import pytest

from equipot.calculators import EquipotCalculator
from equipot.model_file import load_model, write_model
from tests.models import make_potential


@pytest.fixture(scope="session")
def potential():
    return make_potential(seed=3)


@pytest.fixture(scope="session")
def path(potential, tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "model.pt", potential, verify=False)


@pytest.fixture(scope="session")
def model(path):
    return load_model(path)


@pytest.fixture
def calculator(model):
    return EquipotCalculator(model)
