"""A random model of silicon that has minima, and structures that it knows or does not."""

import ase.build
import ase.io
import numpy as np
import pytest
from ase import Atoms

from equipot.model_file import write_model
from tests.models import make_potential


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    potential = make_potential(seed=2, species=("Si",), repulsion="zbl")
    return str(write_model(tmp_path_factory.mktemp("models") / "model.pt", potential, verify=False))


def silicon(seed: int | None = 1, displaced: float = 0.1) -> Atoms:
    atoms = ase.build.bulk("Si", cubic=True)
    if seed is not None:
        atoms.rattle(displaced, seed=seed)
    return atoms


def unusable_structures(folder) -> None:
    ase.io.write(folder / "si.extxyz", silicon())
    ase.io.write(folder / "copper.extxyz", ase.build.bulk("Cu", cubic=True))
    ase.io.write(folder / "dimer.extxyz", Atoms("Si2", [[0, 0, 0], [0, 0, 2.2]]))
    (folder / "text.extxyz").write_text("nothing\n")
    (folder / "empty.extxyz").write_text("")
    (folder / "none.extxyz").write_text("0\nProperties=species:S:1:pos:R:3\n")
    ase.io.write(folder / "overlap.extxyz", Atoms("Si2", np.zeros((2, 3)), cell=[6, 6, 6], pbc=True))
    text = (folder / "si.extxyz").read_text().splitlines()
    (folder / "cut.extxyz").write_text("\n".join(text[:-3]) + "\n")
    (folder / "nan.extxyz").write_text("1\nProperties=species:S:1:pos:R:3\nSi nan 0 0\n")
    (folder / "flat.extxyz").write_text(
        '1\nLattice="3 0 0 0 3 0 3 3 0" Properties=species:S:1:pos:R:3\nSi 0 0 0\n'
    )


UNUSABLE = [
    (["no.extxyz"], "no.extxyz: there is no such file"),
    (["text.extxyz"], "expected the number of atoms, found 'nothing'"),
    (["empty.extxyz"], "empty.extxyz: the file is empty"),
    (["none.extxyz"], "none.extxyz#0: the structure holds no atoms"),
    (["cut.extxyz"], "the file ends after 5 of 8 atoms; it is truncated"),
    (["nan.extxyz"], "nan.extxyz#0: the position of atom 0 is not finite"),
    (["flat.extxyz"], "flat.extxyz#0: the cell vectors along its periodic directions span no volume"),
    (["si.extxyz@4"], "has no frame 4; it holds 1"),
    (["copper.extxyz"], "holds Cu, but the model knows only Si"),
    (["si.extxyz", "-m", "no.pt"], "no.pt: no such file"),
    (["si.extxyz", "-m", "si.extxyz"], "not a model file"),
    (["si.extxyz", "--device", "abacus"], "'abacus' is not a device"),
]


def one_sentence(capsys, command: str, words: str) -> None:
    captured = capsys.readouterr()
    assert captured.err.startswith(f"equipot {command}: ")
    assert words in captured.err
    assert len(captured.err.strip().splitlines()) == 1
