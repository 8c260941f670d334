"""The C interface from C: the example compiles without a warning, and gives the calculator's numbers."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

import equipot
from equipot.calculators import EquipotCalculator
from equipot.cli.main import main
from equipot.model_file import write_model
from equipot.runtime.files import header_folder, library_file
from tests.models import make_potential

EXAMPLE = Path(equipot.__file__).parents[1] / "examples/c/dimer.c"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("c") / "model.pt", make_potential(seed=3), verify=False)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("this machine has no C compiler")
    target = tmp_path_factory.mktemp("c") / "dimer"
    library = library_file()
    flags = [f"-I{header_folder()}", str(library), f"-Wl,-rpath,{library.parent}"]
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    subprocess.run([compiler, *strict, str(EXAMPLE), *flags, "-o", str(target)], check=True)
    return target


def test_the_example_has_the_numbers_of_the_calculator(program, model):
    run = subprocess.run([program, model, "Si", "O"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    rows = np.loadtxt(run.stdout.splitlines())
    assert len(rows) == 16
    for distance, energy, force in rows:
        atoms = Atoms("SiO", [[0, 0, 0], [distance, 0, 0]], calculator=EquipotCalculator(model))
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
        assert force == pytest.approx(atoms.get_forces()[0, 0], abs=1e-6)


def test_errors_of_the_example_are_sentences(program, model, tmp_path):
    for arguments, sentence in (
        ((model, "Si", "Ge"), "Ge: the model does not know this element"),
        ((tmp_path / "none.pt", "Si", "O"), "none.pt: it cannot be opened"),
        ((EXAMPLE, "Si", "O"), "dimer.c: it is damaged or no model file"),
    ):
        run = subprocess.run([program, *arguments], capture_output=True, text=True)
        assert run.returncode == 1
        assert sentence in run.stderr
        assert len(run.stderr.splitlines()) == 1


def test_the_library_needs_the_libraries_of_c_alone():
    if shutil.which("ldd") is None:
        pytest.skip("this machine has no ldd")
    listed = subprocess.run(["ldd", library_file()], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0].split("/")[-1].split(".so")[0] for line in listed.splitlines()}
    allowed = {"libstdc++", "libm", "libgcc_s", "libc", "libgomp", "libdl", "libpthread", "linux-vdso"}
    assert not {name for name in names - allowed if not name.startswith("ld-linux")}


CMAKE = """
cmake_minimum_required(VERSION 3.20)
project(dimer LANGUAGES C)
find_package(equipot REQUIRED)
add_executable(dimer {})
target_link_libraries(dimer PRIVATE equipot::equipot)
"""


def test_cmake_finds_the_library(tmp_path, model, capsys):
    if shutil.which("cmake") is None:
        pytest.skip("this machine has no CMake")
    (tmp_path / "CMakeLists.txt").write_text(CMAKE.format(EXAMPLE))
    assert main(["runtime", "--cmake"]) == 0
    folder = capsys.readouterr().out.strip()
    build = tmp_path / "build"
    subprocess.run(["cmake", "-S", tmp_path, "-B", build, f"-Dequipot_DIR={folder}"], check=True)
    subprocess.run(["cmake", "--build", build], check=True)
    run = subprocess.run([build / "dimer", model, "Si", "O"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert len(np.loadtxt(run.stdout.splitlines())) == 16


@pytest.mark.skipif(sys.platform != "linux", reason="the counter of allocations is for glibc")
@pytest.mark.parametrize("preset", ["nequip-s", "balanced"])
def test_a_step_like_the_last_one_asks_for_no_memory(tmp_path, preset):
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("this machine has no C++ compiler")
    model = write_model(tmp_path / "model.pt", make_potential(preset=preset, seed=3), verify=False)
    flags = [f"-I{header_folder()}", str(library_file()), f"-Wl,-rpath,{library_file().parent}"]
    source, target = Path(__file__).parent / "allocations.cpp", tmp_path / "allocations"
    subprocess.run([compiler, "-std=c++17", str(source), *flags, "-o", str(target)], check=True)
    run = subprocess.run([target, model], capture_output=True, text=True)
    assert run.stdout == "0\n", run.stderr


def test_the_command_prints_flags_of_a_compiler(capsys):
    assert main(["runtime", "--flags"]) == 0
    include, library, rpath = shlex.split(capsys.readouterr().out)
    assert (Path(include.removeprefix("-I")) / "equipot.h").is_file()
    assert Path(library).is_file()
    assert rpath.startswith("-Wl,-rpath,")
