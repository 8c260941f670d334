"""Running an example as `python examples/NAME/run.py …` would, in the process of the test."""

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@contextmanager
def _as_script(name: str, *arguments: object) -> Iterator[None]:
    """Set what Python sets for a script. Modules of an example must not be found by other tests."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(EXAMPLES / name), *sys.path])
        patch.setattr(sys, "argv", ["run.py", *map(str, arguments)])
        yield
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", None) or "").startswith(str(EXAMPLES)):
            del sys.modules[module]


def definitions(name: str, file: str = "run") -> dict[str, Any]:
    """Return what a file of an example defines."""
    with _as_script(name):
        return runpy.run_path(str(EXAMPLES / name / f"{file}.py"))


def end_of_example(name: str, *arguments: object) -> object:
    """Run an example; return its exit status, or the sentence that it ends with."""
    with _as_script(name, *arguments), pytest.raises(SystemExit) as end:
        runpy.run_path(str(EXAMPLES / name / "run.py"), run_name="__main__")
    return end.value.code
