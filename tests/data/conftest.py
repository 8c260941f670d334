from pathlib import Path

import pytest

from equipot.structures import Frame, read_frames


@pytest.fixture(scope="session")
def silicon() -> list[Frame]:
    return read_frames([str(Path(__file__).parents[2] / "examples" / "silicon" / "silicon.extxyz")])
