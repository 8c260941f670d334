"""One thread: test structures are small, and two OpenMP programs on one machine starve each other.

`make test` runs two workers. Each file goes to one of them as a whole, since its tests share what is costly to
make; all files that run LAMMPS go to the same one, since MPI ranks that wait for a core wait busily.
"""

import os
from pathlib import Path

import pytest
import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start
torch.set_num_threads(1)

_WITH_LAMMPS = {"lammps", "test_lammps_scaling.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        parts = item.path.relative_to(Path(__file__).parent).parts
        group = "lammps" if _WITH_LAMMPS & set(parts) else "/".join(parts)
        item.add_marker(pytest.mark.xdist_group(group))
