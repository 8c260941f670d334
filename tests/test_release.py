"""Facts that stand in two files of the project because their readers demand it."""

import re
from pathlib import Path

import pytest

import equipot

ROOT = Path(__file__).parent.parent


def test_the_citation_has_the_version_of_the_package():
    cited = re.search(r"^version: [\"']?([^\"'\s]+)", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited[1] == equipot.__version__


def lower_bounds() -> dict[str, str]:
    text = (ROOT / "pyproject.toml").read_text()
    found = re.findall(r'"([A-Za-z0-9_-]+)(?:\[\w+\])?>=([0-9.]+)', text)
    return {name.lower(): version for name, version in found}


def versions(version: str) -> tuple[int, ...]:
    numbers = [int(n) for n in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


@pytest.mark.parametrize(
    "pin", [line for line in (ROOT / "constraints-oldest.txt").read_text().split() if "==" in line]
)
def test_the_oldest_pins_are_the_lower_bounds(pin):
    name, version = pin.split("==")
    assert versions(lower_bounds()[name.lower()]) == versions(version)
