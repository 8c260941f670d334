"""Several simulations in one MPI start, each on ranks of its own."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.lammps.conftest import SPECIES
from tests.lammps.ranks import exhaustive
from tests.lammps.running import BIN, good, lmp, setup, write_data
from tests.lammps.states import THERMO, TILTED, assert_same, keep, kept, tables
from tests.lammps.structures import cases


def lmp_in_partitions(script: str, folder: Path, partitions: list[str]) -> tuple[str, list[str]]:
    """Run an input in partitions such as 2x1; the output about all of them, and of each."""
    (folder / "in.lammps").write_text(script)
    sizes = [(int(n), int(size)) for n, _, size in (entry.partition("x") for entry in partitions)]
    ranks = sum(n * size for n, size in sizes)
    arguments = ["-in", "in.lammps", "-log", "none", "-plog", "none", "-pscreen", "screen"]
    run = subprocess.run(
        [BIN / "mpiexec", "-n", str(ranks), BIN / "lmp", "-partition", *partitions, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    screens = [(folder / f"screen.{k}").read_text() for k in range(sum(n for n, _ in sizes))]
    assert run.returncode == 0, run.stdout[-1000:] + "".join(text[-1000:] for text in screens)
    return run.stdout, screens


@pytest.mark.parametrize(
    "partitions",
    [["1x1", "1x2"], *(pytest.param(p, marks=exhaustive) for p in (["1x1", "1x1"], ["1x2", "1x2"]))],
)
def test_partitions_give_what_runs_of_their_own_give(tmp_path, double_file, single_file, partitions):
    # Structures of different size, models of different precision.
    write_data(tmp_path / "tilted.data", TILTED, list(SPECIES))
    write_data(tmp_path / "cut_in_z.data", cases()["cut_in_z"].atoms, list(SPECIES))
    move = "velocity all create 600 1 loop geom\nfix 1 all nve\ntimestep 0.001\nthermo 5\nrun 10\n"
    runs = {"tilted": double_file, "cut_in_z": single_file}
    alone = {name: setup(name, model) + THERMO + move + keep(name) for name, model in runs.items()}
    expected = kept(good(lmp("".join(alone.values()), tmp_path)), tmp_path)
    for name in runs:
        (tmp_path / f"{name}.state").unlink()
    script = setup("${name}", Path("${model}")).replace("clear\n", "") + THERMO + move + keep("${name}")
    worlds = f"variable name world {' '.join(runs)}\nvariable model world {double_file} {single_file}\n"
    _, screens = lmp_in_partitions(worlds + script, tmp_path, partitions)
    for screen, name in zip(screens, runs, strict=True):
        rtol = 1e-7 if runs[name] == double_file else 1e-4
        assert_same(kept(screen, tmp_path)[name], expected[name], rtol=rtol)


# The path runs through the positions of four atoms, the others stand still.
NEB = """
group moved id 1:4
group still subtract all moved
fix 1 moved neb 1.0
fix 2 still setforce 0 0 0
timestep 0.001
min_style quickmin
neb 0.0 0.01 10 10 5 final final.coords
write_data image${image}.data
"""


@pytest.mark.parametrize("partitions", ["2x1", *(pytest.param(n, marks=exhaustive) for n in ("3x1", "2x2"))])
def test_a_path_between_two_structures_has_the_energies_of_its_images(tmp_path, double_file, partitions):
    images = int(partitions[0])
    end = TILTED.copy()
    end.positions[:4] += [[0.5, 0.1, 0.0], [0.0, -0.4, 0.2], [0.3, 0.0, 0.3], [-0.2, 0.2, 0.0]]
    write_data(tmp_path / "start.data", TILTED, list(SPECIES))
    write_data(tmp_path / "end.data", end, list(SPECIES))
    moved = "".join(f"{k + 1} {x} {y} {z}\n" for k, (x, y, z) in enumerate(end.positions[:4]))
    (tmp_path / "final.coords").write_text(f"4\n{moved}")
    world = f"variable image world {' '.join(str(k) for k in range(images))}\n"
    script = (
        world + setup("start", double_file).replace("clear\n", "").replace("array", "array sort 0 0") + NEB
    )
    summary, _ = lmp_in_partitions(script, tmp_path, [partitions])

    rows = [line.split() for line in summary.splitlines() if line.split()[:1] in (["0"], ["20"])]
    first, last = (np.array(row[10::2], dtype=float) for row in rows)  # energies of the images
    names = ["start", "end", *(f"image{k}" for k in range(images))]
    alone = "".join(setup(name, double_file) + THERMO + "run 0\n" for name in names)
    energies = [table[0, 1] for table in tables(good(lmp(alone, tmp_path)))]
    # the summary has eight digits
    np.testing.assert_allclose(first[[0, -1]], energies[:2], rtol=1e-7)
    np.testing.assert_allclose(last, energies[2:], rtol=1e-7)
    assert (last[[0, -1]] < first[[0, -1]] - 1e-4).all()


@pytest.mark.parametrize("partitions", ["2x1"])
def test_replicas_exchange_temperatures_and_keep_their_energies(tmp_path, double_file, partitions):
    write_data(tmp_path / "tilted.data", TILTED, list(SPECIES))
    script = "variable t world 900 1000\nvariable replica world 0 1\n"
    script += setup("tilted", double_file).replace("clear\n", "") + THERMO
    script += (
        "velocity all create $t 1 loop geom\nfix 1 all nvt temp $t $t 0.1\ntimestep 0.001\nthermo 5\n"
        "temper 20 5 $t 1 3 7\n" + keep("replica${replica}") + "write_data replica${replica}.data\n"
    )
    summary, screens = lmp_in_partitions(script, tmp_path, [partitions])
    # lines of the summary: step, and the index of each replica's temperature
    swaps = [line.split()[1:] for line in summary.splitlines() if line.split()[:1] in (["5"], ["10"], ["20"])]
    assert ["1", "0"] in swaps
    assert ["0", "1"] in swaps
    for k, screen in enumerate(screens):
        name = f"replica{k}"
        anew = setup(name, double_file) + THERMO + "run 0\n" + keep("anew")
        expected = kept(good(lmp(anew, tmp_path)), tmp_path)["anew"]
        found = kept(screen, tmp_path)[name]
        found.pressure = expected.pressure  # without velocities
        assert_same(found, expected)
