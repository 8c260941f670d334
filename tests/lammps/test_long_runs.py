"""Memory does not grow with the length of a run."""

import re

from tests.lammps.conftest import SPECIES
from tests.lammps.running import good, lmp, setup, write_data
from tests.lammps.structures import cases


def test_a_thousand_rebuilt_neighbour_lists_leave_memory_as_it_was(tmp_path, single_file):
    write_data(tmp_path / "tilted.data", cases()["tilted"].atoms, list(SPECIES))
    script = setup("tilted", single_file, options="timing yes").replace("check yes", "check no") + (
        "velocity all create 2000 1 loop geom\nfix 1 all npt temp 1000 1000 0.1 tri 0 0 1\nrun 500\nrun 1000\n"
    )
    output = good(lmp(script, tmp_path, 2))
    assert [int(n) for n in re.findall(r"Neighbor list builds = (\d+)", output)] == [500, 1000]
    # by how much the processes have grown since before their first step, MiB
    after_500, after_1500 = (float(mib) for mib in re.findall(r"memory per rank: ([\d.]+) MiB", output))
    assert after_1500 < after_500 + 1.0
