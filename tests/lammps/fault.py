"""What a fault is, and ways to change a good input."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.lammps import broken_files as files

# Changes a good input, which is that of `running.setup` with the model file model.pt and `run 0` at its end.
Edit = Callable[[str], str]


@dataclass(frozen=True)
class Fault:
    name: str
    sentence: str  # part of it
    edit: Edit = str
    model: files.Builder | None = None  # in place of the good file
    needs: str = ""  # a style that LAMMPS may have been built without
    # LAMMPS's own, of one rank, which it does not wait to get through before it aborts the others: seen to be lost
    # on a busy machine.
    may_be_lost: bool = False


def swap(old: str, new: str) -> Edit:
    def edit(script: str) -> str:
        assert old in script
        return script.replace(old, new)

    return edit


def before_run(lines: str) -> Edit:
    return swap("run 0\n", lines + "\nrun 0\n")


def settings(text: str) -> Edit:
    return swap("pair_style equipot", f"pair_style equipot {text}")


def elements(text: str) -> Edit:
    return swap("Si O\n", f"{text}\n")


def coeff(text: str) -> Edit:
    return swap("pair_coeff * * model.pt Si O\n", text)


def hybrid(lines: str) -> Edit:
    """Other pair styles and coefficients."""

    def edit(script: str) -> str:
        start, end = script.index("pair_style"), script.index("neighbor")
        return script[:start] + lines + script[end:]

    return edit


MOLECULE = """
units metal
atom_style full
region b block 0 10 0 10 0 10
create_box 2 b bond/types 1 extra/bond/per/atom 1 extra/special/per/atom 1
create_atoms 1 single 2 5 5
create_atoms 2 single 3.6 5 5
mass * 20
set group all mol 1
bond_style zero
bond_coeff 1
create_bonds single/bond 1 1 2
{commands}
pair_style equipot
pair_coeff * * model.pt Si O
run 0
"""


def molecule(commands: str) -> Edit:
    return lambda script: MOLECULE.format(commands=commands)


KEPT = "special_bonds lj/coul 1 1 1"
