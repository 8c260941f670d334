"""`pair_style equipot device cuda` against `device cpu`: the real lmp, on GPUs that are emulated on the CPU.

CUDA's libraries and torch's part for CUDA are replaced by those of tests/ops/cuda_emulation, so all of the plugin's own
code runs as it would: what goes to a device and back, rows between processes, the kernels' text. What a GPU does
differently (asynchronous work, memory that the host cannot read) does not show.
"""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from equipot.lammps import build_folder
from equipot.model_file import write_model
from tests.lammps.conftest import SPECIES
from tests.lammps.faults import TORCHSCRIPT
from tests.lammps.ranks import exhaustive, on_ranks
from tests.lammps.running import good, lmp, measure, measured, setup, write_data
from tests.lammps.states import TILTED, assert_same, keep, kept
from tests.lammps.stopping import ended, started, the_sentence
from tests.lammps.structures import cases
from tests.lammps.test_energy_flux import CROWD
from tests.ops.conftest import SOURCES, build_emulation, has_driver
from tests.outputs import WithFurtherOutputs, changed

pytestmark = [exhaustive, pytest.mark.usefixtures("torch_plugin")]

CASES = ("tilted", "slab", "tiny", "scattered", "nothing", "tiled", "thin", "rod")
PRECISIONS_AND_RANKS = [
    pytest.param(*case, ranks) for case in (("double", 1e-10), ("single", 1e-5)) for ranks in (1, 2, 3)
]


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which lmp finds two emulated GPUs; their kernels are kept apart from real ones."""
    if has_driver():
        pytest.skip("this machine has CUDA's driver, which would be found before the emulated one")
    folder = tmp_path_factory.mktemp("emulation")
    build_emulation(folder)
    torch_folder = Path(torch.__file__).parent
    include, lib = torch_folder / "include", torch_folder / "lib"
    command = ["g++", "-std=c++20", "-O1", "-shared", "-fPIC"]
    command += [f"-I{include}", f"-I{include}/torch/csrc/api/include", str(SOURCES / "torch_device.cpp")]
    command += [f"-L{lib}", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{lib}"]
    subprocess.run([*command, "-o", str(folder / "libtorch_cuda.so")], check=True)
    cache = folder / "cache" / "equipot"
    cache.mkdir(parents=True)
    (cache / "lammps").symlink_to(build_folder().parent)
    return {
        "LD_LIBRARY_PATH": f"{folder}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        "EQUIPOT_NVRTC": str(folder),
        "EMULATION_HEADER": str(SOURCES / "emulation.h"),
        "XDG_CACHE_HOME": str(cache.parent),
    }


@pytest.fixture
def gpus(emulated: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in emulated.items():
        monkeypatch.setenv(name, value)
    return emulated


def close(found: np.ndarray, expected: np.ndarray, rtol: float) -> None:
    """To rtol of the largest."""
    largest = np.abs(expected).max() if np.size(expected) else 0.0
    np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * max(largest, 1.0))


@pytest.mark.parametrize(("precision", "rtol", "ranks"), PRECISIONS_AND_RANKS)
def test_every_structure_has_the_numbers_it_has_on_the_cpu(gpus, tmp_path, request, precision, rtol, ranks):
    model = request.getfixturevalue(f"{precision}_file")
    script = ""
    for name in CASES:
        case = cases()[name]
        for device in ("cuda", "cpu"):
            write_data(tmp_path / f"{name}_{device}.data", case.atoms, list(SPECIES))
            options = {"boundary": case.boundary, "before": case.before, "options": f"device {device}"}
            script += (
                setup(f"{name}_{device}", model, **options) + case.after + "\n" + measure(f"{name}_{device}")
            )
    output = good(lmp(script, tmp_path, ranks, timeout=600))
    for rank in range(ranks):
        assert f"equipot: rank {rank} on cuda:{rank % 2} (emulated GPU {rank % 2})" in output
    for name in CASES:
        found, expected = (measured(output, tmp_path, f"{name}_{device}") for device in ("cuda", "cpu"))
        for quantity, value in vars(expected).items():
            close(getattr(found, quantity), value, rtol)


@pytest.mark.parametrize("fault", TORCHSCRIPT, ids=[fault.name for fault in TORCHSCRIPT])
def test_a_file_whose_torchscript_is_not_a_model_is_one_sentence(gpus, tmp_path, double_file, fault):
    fault.model(tmp_path / "model.pt", double_file)
    write_data(tmp_path / "tiled.data", cases()["tiled"].atoms, list(SPECIES))
    script = fault.edit(setup("tiled", Path("model.pt"), options="device cuda") + "run 0\n")
    assert fault.sentence in the_sentence(ended(started(script, tmp_path, 1)))
    assert not (tmp_path / "written_by_a_model").exists()


@on_ranks(1, 2, quick=(2,))
def test_the_flux_of_energy_has_the_shares_it_has_on_the_cpu(gpus, tmp_path, double_file, ranks):
    # Images of an atom have rows of their own here, and gradients travel four times.
    write_data(tmp_path / "crowd.data", CROWD, list(SPECIES))
    script = "".join(
        setup("crowd", double_file, options=f"device {device}")
        + "compute c all centroid/stress/atom NULL virial\n"
        + f"dump d all custom 1 {device}.dump id c_c[*]\ndump_modify d format float %.17g sort id\nrun 0\n"
        for device in ("cuda", "cpu")
    )
    good(lmp(script, tmp_path, ranks, timeout=600))
    found, expected = (np.loadtxt(tmp_path / f"{device}.dump", skiprows=9) for device in ("cuda", "cpu"))
    close(found, expected, 1e-10)


@on_ranks(1, 2, 3, quick=(2,))
def test_a_run_with_new_neighbour_lists_ends_where_it_ends_on_the_cpu(gpus, tmp_path, double_file, ranks):
    write_data(tmp_path / "tilted.data", TILTED, list(SPECIES))
    move = (
        "neighbor 0.05 bin\nvelocity all create 1500 1 loop geom\nfix 1 all nve\ntimestep 0.0005\nthermo 100\n"
        "run 60\n"
    )
    script = "".join(
        setup("tilted", double_file, options=f"timing yes device {device}") + move + keep(device)
        for device in ("cuda", "cpu")
    )
    output = good(lmp(script, tmp_path, ranks, timeout=600))
    builds = [int(n) for n in re.findall(r"Neighbor list builds = (\d+)", output)]
    assert builds[0] == builds[1] > 5
    states = kept(output, tmp_path)
    assert_same(states["cuda"], states["cpu"], rtol=1e-8)
    assert output.count("exchange between ranks") == 2


def refusal(folder: Path, model: Path, device: str, environment: dict[str, str], ranks: int = 2) -> str:
    write_data(folder / "tilted.data", TILTED, list(SPECIES))
    script = setup("tilted", model, options=f"device {device}") + "run 0\n"
    return the_sentence(ended(started(script, folder, ranks, environment=environment)))


@pytest.mark.parametrize("wish", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1000", "CUDA"])
def test_another_word_is_refused(tmp_path, double_file, wish):
    assert f"device: it is '{wish}', expected cpu, cuda or cuda:N" in refusal(tmp_path, double_file, wish, {})


def test_a_gpu_that_is_not_there_is_refused(gpus, tmp_path, double_file):
    found = refusal(tmp_path, double_file, "cuda:2", gpus)
    assert "it is cuda:2, but torch sees 2 GPUs on this machine, counted from 0" in found


def test_a_machine_without_a_gpu_is_told_so(gpus, tmp_path, double_file):
    assert "torch sees no GPU" in refusal(tmp_path, double_file, "cuda", {**gpus, "EMULATION_GPUS": "0"})


def test_a_process_whose_torch_began_without_a_gpu_ends_with_a_sentence(gpus, tmp_path, double_file):
    # The runtime does not start torch, but a network with further outputs does.
    write_data(tmp_path / "tilted.data", TILTED, list(SPECIES))
    further = changed(WithFurtherOutputs, n_layers=3, features=[6, 3], species=SPECIES)
    models = {"further": write_model(tmp_path / "m.pt", further, verify=False), "plain": double_file}
    scripts = {
        name: "".join(setup("tilted", model, options=f"device {d}") + "run 0\n" for d in ("cpu", "cuda"))
        for name, model in models.items()
    }
    good(lmp(scripts["plain"], tmp_path, 2, timeout=600))
    output = ended(started(scripts["further"], tmp_path, 2, environment=gpus))
    assert "give device cuda to the first" in the_sentence(output)


def test_a_driver_that_takes_no_kernels_is_named(gpus, tmp_path, double_file):
    found = refusal(tmp_path, double_file, "cuda", {**gpus, "EMULATION_DRIVER": "old"})
    assert "the kernels cannot run there" in found


@pytest.mark.skipif(torch.version.cuda is not None, reason="torch was built with CUDA")
def test_a_torch_without_cuda_is_named(tmp_path, double_file):
    assert "was built without CUDA; install one" in refusal(tmp_path, double_file, "cuda", {})


def test_atoms_too_close_stop_a_run_on_a_gpu_with_one_sentence(gpus, tmp_path, double_file):
    write_data(tmp_path / "tilted.data", TILTED, list(SPECIES))
    script = setup("tilted", double_file, options="device cuda") + (
        "set atom 1 x 2 y 2 z 2\nset atom 2 x 2 y 2 z 2\nrun 0\n"
    )
    assert "not finite at step 0" in the_sentence(ended(started(script, tmp_path, 2, environment=gpus)))
