"""The command line that all benchmarks share."""

import argparse
from pathlib import Path

import pytest

from benchmarks import command
from equipot.errors import DataError
from tests.benchmarks.running import ROOT, run_benchmark

NAMES = [
    path.parent.name for path in (ROOT / "benchmarks").glob("*/__main__.py") if path.parent.name != "peers"
]


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_says_what_it_measures_and_how_it_is_started(name):
    done = run_benchmark(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: python -m benchmarks.{name}" in done.stdout
    assert f"    python -m benchmarks.{name} " in done.stdout
    assert f"\n{name} " in (ROOT / "benchmarks" / "__init__.py").read_text()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (DataError("no frames"), "speed: no frames"),
        (FileNotFoundError(2, "No such file", "a.xyz"), "speed: a.xyz: No such file"),
    ],
)
def test_an_error_is_one_sentence_and_exit_code_1(capsys, error, sentence):
    def benchmark(args, console):
        raise error

    assert command.run("speed", argparse.Namespace(), benchmark) == 1
    assert capsys.readouterr() == ("", sentence + "\n")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many"])
def test_a_count_is_a_whole_number_of_1_or_more(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is given"):
        command.count(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "long"])
def test_a_time_is_above_0(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is given"):
        command.positive(text)


def test_results_are_written_into_a_folder_that_is_made(tmp_path: Path):
    command.write_json(tmp_path / "a" / "b.json", {"x": 1})
    assert (tmp_path / "a" / "b.json").read_text() == '{\n "x": 1\n}\n'
