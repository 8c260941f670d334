"""One thread: test structures are small, and two OpenMP programs on one machine starve each other.

`make test` runs two workers. Each file goes to one of them as a whole, since its tests share what is costly to
make; all files that run LAMMPS go to the same one, since MPI ranks that wait for a core wait busily.

Two costly steps that nearly every training repeats are replaced: model files are read back in the process of the test,
and figures are not drawn. Tests of these steps ask for the fixtures `fresh_process` and `figures`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from equipot.model_file import load_model, write
from equipot.structures import Frame
from tests import copper

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start
torch.set_num_threads(1)

_WITH_LAMMPS = {
    "lammps",
    "test_alloy.py",
    "test_code_blocks.py",
    "test_lammps_scaling.py",
    "test_thermal_conductivity.py",
    "test_water.py",
}


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist, which need not be installed
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.partition("::")[0])
            return "lammps" if _WITH_LAMMPS & set(file.parts) else str(file)

    return ByFile(config, log)


_load_in_fresh_process = write._load_in_fresh_process
_savefig = Figure.savefig


def _not_drawn(figure: Figure, file: Any, **options: Any) -> None:
    file.write(b"a figure that no test looks at") if hasattr(file, "write") else Path(file).touch()


@pytest.fixture(scope="session", autouse=True)
def _without_costly_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "_load_in_fresh_process", lambda file, path: load_model(file))
        patch.setattr(Figure, "savefig", _not_drawn)
        yield


@pytest.fixture
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Model files are verified as they are for a user: in a fresh process."""
    monkeypatch.setattr(write, "_load_in_fresh_process", _load_in_fresh_process)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn."""
    monkeypatch.setattr(Figure, "savefig", _savefig)


@pytest.fixture(scope="session")
def label():
    return copper.labelled


@pytest.fixture(scope="session")
def volume_scan() -> list[Frame]:
    return copper.scan()


@pytest.fixture(scope="session")
def trajectory() -> list[Frame]:
    return copper.rattled()


@pytest.fixture(scope="session")
def strained_trajectory() -> list[Frame]:
    return copper.rattled(16, strain=0.004)
