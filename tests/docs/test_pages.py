"""Facts of the pages that the code decides: messages, the order of imports, and the check of built pages."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from equipot.config import ModelConfig
from equipot.data.checks.report import NAMES
from equipot.network.core_radii import MARGIN
from equipot.presets import PRESETS
from equipot.training.choices import DECAY, ENOUGH_STEPS, SMALL
from tests.docs.blocks import ROOT
from tests.test_imports import packages  # noqa: F401  a fixture

PAGE = ROOT / "docs" / "howto" / "troubleshooting.md"
SVG = "{http://www.w3.org/2000/svg}"


def messages() -> list[str]:
    """Return the first column of the table of messages."""
    table = PAGE.read_text().split("\n## ")[0]
    return [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| `")]


def key(message: str) -> str:
    """Return what a message is sorted by: its first letters, in small ones."""
    return re.sub(r"^[^a-z0-9]+", "", message.lower())


def literal_texts() -> Iterator[str]:
    """Yield all literal texts in the code, without the values in them."""
    for file in (ROOT / "equipot").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for file in (ROOT / "equipot" / "runtime").glob("*.cpp"):
        yield file.read_text()


def test_messages_are_in_alphabetical_order():
    assert messages() == sorted(messages(), key=key)


@pytest.fixture(scope="module")
def printed() -> list[str]:
    return [*literal_texts(), *(f"{name}: " for name in NAMES)]


@pytest.mark.parametrize("message", messages())
def test_the_code_prints_a_message_of_the_table(message, printed):
    for text in re.findall("`([^`]+)`", message):
        for part in filter(None, (part.strip() for part in text.split("…"))):
            assert any(part in literal for literal in printed), part


def test_the_table_of_presets_has_their_purposes_and_sizes():
    page = (ROOT / "docs" / "howto" / "preset.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (\d), l = (\d) \|", page, re.MULTILINE)
    expected = [(n, p.purpose, str(p.n_layers), str(p.l_max)) for n, p in PRESETS.items() if p.norms]
    assert rows == expected


def test_the_pages_have_the_rules_of_the_choices_and_the_radius_of_the_core():
    training = (ROOT / "docs" / "training.md").read_text()
    assert f"| {DECAY:g} for periodic sets with fewer than {SMALL:,} components".replace(",", " ") in training
    assert f"too short for {ENOUGH_STEPS} steps" in training
    assert f"{MARGIN:g} of its shortest distance" in training
    assert f"{MARGIN:g} of the shortest distance" in (ROOT / "docs" / "terms.md").read_text()
    assert f"below {MARGIN:g} of the shortest distance" in inspect.getsource(ModelConfig)


def test_the_picture_of_the_code_has_every_package_above_those_that_it_imports(packages):  # noqa: F811
    texts = ElementTree.parse(ROOT / "docs" / "pictures" / "code.svg").iter(f"{SVG}text")
    height = {t.text: float(t.get("y", "nan")) for t in texts if t.get("text-anchor") == "middle"}
    assert set(height) == set(packages)
    for name, imported in packages.items():
        assert all(height[name] < height[other] for other in imported), name


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="b.html#here">', None),
        ('<a href="c.html">', "does not exist"),
        ('<a href="b.html#there">', "has no such section"),
        ('<script src="https://example.org/x.js"></script>', "from elsewhere"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "from elsewhere"),
        ('<a href="https://example.org">', None),
    ],
)
def test_the_check_of_built_pages_finds(
    body: str, fault: str | None, check_pages: ModuleType, tmp_path: Path
):
    (tmp_path / "a.html").write_text(body)
    (tmp_path / "b.html").write_text('<h1 id="here">')
    sentences = list(check_pages.faults(tmp_path))
    assert (fault is None and not sentences) or (fault is not None and fault in sentences[0])
