"""~ in paths: of config files, of overrides and of options that the shell leaves alone."""

import shutil
from pathlib import Path

import pytest

from equipot.cli.main import _with_home, main
from equipot.config_file import load_config

HERE = Path(__file__).parents[2] / "examples" / "silicon"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_paths_of_a_config_begin_at_home(home, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "data:\n  train: [~/a.xyz, b.xyz]\n  test: ~/t.xyz\ninit: ~/start.pt\noutput: ~/run\n"
    )
    config = load_config(tmp_path / "c.yaml", ["data.validation=~/v.xyz"])
    assert config.data.train == [str(home / "a.xyz"), str(tmp_path / "b.xyz")]
    assert config.data.test == [str(home / "t.xyz")]
    assert config.data.validation == [str(home / "v.xyz")]
    assert config.init.model == str(home / "start.pt")
    assert config.output == str(home / "run")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("~/model.pt", "{home}/model.pt"),
        ("--output=~/runs", "--output={home}/runs"),
        ("training.max_epochs=~", "training.max_epochs=~"),  # YAML's null
        ("a~/b", "a~/b"),
    ],
)
def test_only_paths_below_home_are_expanded(home, given, expected):
    assert _with_home(given) == expected.format(home=home)


def test_options_and_overrides_begin_at_home(home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(HERE / "silicon.extxyz", home)
    small = [
        "model.preset=tiny",
        "training.max_epochs=1",
        "training.steps_per_epoch=2",
        "data.test_fraction=0",
    ]
    config = ["train", str(HERE / "config.yaml"), "data.train=~/silicon.extxyz", "output=~/run", *small]
    assert main([*config, "model.l_max=null", "model.features=null"]) == 0
    assert main(["evaluate", "~/run/model.pt", "~/silicon.extxyz", "--output=~/evaluation"]) == 0
    assert (home / "evaluation" / "evaluation.json").exists()
    assert not (tmp_path / "~").exists()
