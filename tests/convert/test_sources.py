"""What a user types, and the file that is meant; nothing is imported to find it."""

import sys
from pathlib import Path

import pytest

from equipot.convert.sources import NEQUIX, SEVENNET, locate
from equipot.errors import ModelFileError

BOMB = "raise RuntimeError('this package was imported')\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of sevenn's name with a checkpoint in it, which must not be imported."""
    package = tmp_path / "site" / "sevenn"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(BOMB)
    file = package / "pretrained_potentials" / SEVENNET["7net-0"]
    file.parent.mkdir(parents=True)
    file.write_bytes(b"checkpoint")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.delitem(sys.modules, "sevenn", raising=False)
    return package


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No package of sevenn's name, whatever is installed here."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def _sentence(source: str) -> str:
    with pytest.raises(ModelFileError) as found:
        locate(source)
    assert "\n" not in str(found.value)
    return str(found.value)


@pytest.mark.parametrize(
    "source", ["sevenn:7net-0", "SevenNet:7net-0", "sevenn:7NET-0", "sevenn:7net-0_11Jul2024"]
)
def test_a_shipped_model_is_found_without_importing_its_package(installed: Path, source: str) -> None:
    assert locate(source) == installed / "pretrained_potentials" / SEVENNET["7net-0"]
    assert "sevenn" not in sys.modules


def test_a_path_is_itself_even_with_a_colon_in_it(tmp_path: Path) -> None:
    for name in ("model.pth", "run:3.pth"):
        (tmp_path / name).write_bytes(b"x")
        assert locate(str(tmp_path / name)) == tmp_path / name


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, absent: None) -> Path:
    """A home without models."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("source", ["nequix-oam-1-pft", "Nequix-OAM-1-PFT"])
def test_a_model_of_nequix_is_where_its_calculator_stores_it(home: Path, source: str) -> None:
    file = home / ".cache" / "nequix" / "models" / "nequix-oam-1-pft.nqx"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"{}")
    assert locate(source) == file


def test_a_model_of_nequix_may_lie_in_an_installed_checkout(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "checkout" / "nequix"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(BOMB)
    file = package.parent / "models" / "nequix-mp-1.nqx"
    file.parent.mkdir()
    file.write_bytes(b"{}")
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.syspath_prepend(package.parent)
    assert locate("nequix-mp-1") == file
    assert "nequix" not in sys.modules


def test_a_model_of_nequix_that_is_not_here_says_how_to_get_it(home: Path) -> None:
    sentence = _sentence("nequix-mp-1-pft")
    assert str(home / ".cache" / "nequix" / "models" / "nequix-mp-1-pft.nqx") in sentence
    assert "pip install nequix" in sentence
    assert "NequixCalculator('nequix-mp-1-pft', use_kernel=False)" in sentence


def test_an_unknown_model_of_nequix_says_which_there_are(home: Path) -> None:
    sentence = _sentence("nequix-mp-9")
    assert "Nequix has no model 'nequix-mp-9'" in sentence
    assert all(name in sentence for name in NEQUIX)


def test_an_unknown_model_says_which_there_are(installed: Path) -> None:
    sentence = _sentence("sevenn:7net-9")
    assert "has no model '7net-9'" in sentence
    assert all(name in sentence for name in SEVENNET)
    assert "has no model ''" in _sentence("sevenn:")


def test_a_missing_package_says_what_to_do(absent: None) -> None:
    sentence = _sentence("sevenn:7net-l3i5")
    assert "sevenn is not installed" in sentence
    assert "pip install sevenn" in sentence
    assert "checkpoint_l3i5.pth" in sentence


def test_an_installed_package_without_the_file_says_which_version_has_it(installed: Path) -> None:
    sentence = _sentence("sevenn:7net-l3i5")
    assert str(installed / "pretrained_potentials" / SEVENNET["7net-l3i5"]) in sentence
    assert "install sevenn 0.13" in sentence


def test_a_model_that_sevenn_downloads_is_found_in_either_place(
    installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    sentence = _sentence("sevenn:7net-Omni")
    assert "run `sevenn cp 7net-omni`, or give the path of checkpoint_sevennet_omni.pth" in sentence
    folders = (tmp_path / "home" / ".cache" / "sevennet", installed / "pretrained_potentials")
    for folder in folders:  # the second one comes first where both exist
        file = folder / SEVENNET["7net-omni"]
        file.parent.mkdir(parents=True)
        file.write_bytes(b"checkpoint")
        assert locate("sevenn:7net-Omni") == file
    assert "sevenn" not in sys.modules


@pytest.mark.parametrize("source", ["no/such/file.pth", "mace:small", ""])
def test_what_is_neither_a_file_nor_a_name_is_told_what_would_be(source: str, tmp_path: Path) -> None:
    sentence = _sentence(source)
    assert "no such file; expected a checkpoint" in sentence
    assert "sevenn:NAME" in sentence


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    assert "no such file; expected a checkpoint" in _sentence(str(tmp_path))
